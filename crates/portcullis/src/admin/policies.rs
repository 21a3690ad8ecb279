//! Activates policies, and shows which process uses which.

mod change;
mod plan;

use std::{fmt, num::NonZeroU64, sync::Arc, time::Duration};

use bytes::Bytes;
use portcullis_core::{
    Actor, ConfigError, Environment, EventKind, Note, Policy, Timestamp, debug_as_message,
    store::{
        ActivatePolicy, FoundPolicy, PolicyActivated, ReceivedReport, RegisteredRealm, Store,
        StoreError, StoredPolicy,
    },
};
use portcullis_policy::{
    Document, InvalidDocument, NextVersion, Overlay, UnreadablePolicy, Versions,
};
use tokio::time::{self, Instant};

use self::{change::To, plan::Candidate};
pub use self::{
    change::{EndsAtMost, PolicyChange},
    plan::{PlanSample, PlannedClass, PolicyPlan},
};
use crate::runtime::{
    live_policy::process_name,
    settling::{Progress, Settler},
    shared::{Shared, SharedSettings},
};

/// How long after sessions were counted a change may be activated.
const COUNT_HOLDS: Duration = Duration::from_secs(15);

/// How long to wait until another process has settled more sessions.
const WAIT: Duration = Duration::from_millis(500);

/// The active policy of a realm, for operators and for jobs. Clones share all state.
///
/// An activated policy replaces the limits of code and of
/// [`SessionLayer::policy`](crate::SessionLayer::policy), in every process of the realm: a request
/// that begins more than 5.5 seconds after the activation is judged by it. Nothing is restarted.
///
/// A tighter limit holds at once, also for live sessions. A session that exceeds it ends with the
/// reason [`PolicyTightened`](crate::session::EndReason::PolicyTightened) at its next use. A looser
/// idle timeout holds from the next activity of a session, and a looser absolute timeout from the
/// next sign-in. No later version revives a session that an earlier one has ended.
///
/// It has full rights over the limits of all users, so protect every route that uses it.
///
/// ```
/// # use portcullis::{MemoryStore, SessionLayer};
/// use portcullis::policy::PolicyChange;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = SessionLayer::new(MemoryStore::new());
/// let policies = layer.policies();
/// let text = "schema = 1\n[limits]\nidle = '10m'\n";
/// let change = PolicyChange::document(text, None, "ada").reason(Some("SEC-214"));
/// let activated = policies.apply(change).await?;
/// assert_eq!(activated.number, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Policies {
    shared: Arc<Shared>,
}

/// What an activation has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActivatedPolicy {
    /// The number of the active version.
    pub number: u64,
    /// Since when it is active, on the store's clock.
    pub since: Timestamp,
    /// Whether the same document was active before. Then nothing was changed.
    pub unchanged: bool,
    /// How many sessions were to end, if they were counted. The [receipt](Policies::receipt) shows
    /// how many have.
    pub plan: Option<PolicyPlan>,
}

/// How many sessions the activation of a version has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PolicyReceipt {
    /// Each class, and how many of its sessions. `None` are those without a class.
    pub ended: Vec<(Option<String>, u64)>,
}

impl PolicyReceipt {
    /// How many sessions in all.
    pub fn total(&self) -> u64 {
        self.ended.iter().map(|(_, count)| count).sum()
    }
}

/// A version that may be activated.
struct Next {
    content: Bytes,
    number: u64,
    /// When the version before it was activated. It is activated later.
    before: Option<Timestamp>,
    /// The active version, if it has the same document.
    unchanged: Option<(u64, Timestamp)>,
    realm: RegisteredRealm,
}

impl Next {
    /// The policy as it would be, if this version were activated now.
    fn candidate(&self, now: Timestamp) -> Result<Candidate, PolicyError> {
        let after = |before: Timestamp| before.after(Duration::from_millis(1));
        let at = self.before.map_or(now, |before| now.max(after(before)));
        let versions = Versions::read(&StoredPolicy {
            number: self.number,
            since: at,
            content: self.content.clone(),
        })?;
        Ok(Candidate {
            policy: Arc::new(of_versions(&versions, at)),
            number: self.number,
            at,
        })
    }
}

/// The policy that has only these versions, by which sessions are judged at `now`.
fn of_versions(versions: &Versions, now: Timestamp) -> Policy {
    Policy {
        versions: versions.history(now),
        next_version: versions.next(now),
        ..Policy::default()
    }
}

/// Why a policy was not activated.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The document is refused.
    #[error(transparent)]
    Invalid(#[from] InvalidDocument),
    /// Another operator has activated another version meanwhile.
    #[error("{}", conflict(*active))]
    Conflict {
        /// The number of the active version, if there is one.
        active: Option<u64>,
    },
    /// The change would end more sessions now than it may. Nothing was changed.
    #[error(
        "the change would end {} of {} sessions now, and it may end {most}; allow more, or change less",
        plan.ends(), plan.sessions()
    )]
    EndsTooMany {
        /// How many sessions would end.
        plan: Box<PolicyPlan>,
        /// How many may end.
        most: u64,
    },
    /// No policy is active that could be tightened.
    #[error("no policy is active; activate a document first")]
    NoPolicy,
    /// The active policy is tightened already. Only one tightening holds at a time.
    #[error("the policy is tightened already, until {until}; cancel that first")]
    Tightened {
        /// When that ends.
        until: Timestamp,
    },
    /// The limits or the time of a tightening cannot be used.
    #[error(transparent)]
    Limits(#[from] ConfigError),
    /// No layer has registered the realm, so its environment and classes are not known.
    #[error(
        "no process has registered the realm of these sessions; start the application, or check the realm"
    )]
    Unregistered,
    /// There is no such version, or the text of its document is no longer kept.
    #[error("version {number} is not kept; the history shows which are")]
    UnknownVersion {
        /// The number.
        number: u64,
    },
    /// The active policy cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadablePolicy),
    /// The store cannot answer. It is unknown whether the policy was activated.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn conflict(active: Option<u64>) -> String {
    match active {
        Some(number) => format!(
            "version {number} is active, which is not the expected one; look at it, and try again"
        ),
        None => "no version is active, though one was expected; the store may have lost it".into(),
    }
}

impl fmt::Debug for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as_message(self, f)
    }
}

impl Policies {
    /// The policy in `store`, for a program that serves no requests. The realm is that of the
    /// store.
    pub fn new(store: impl Store) -> Self {
        Self::of_shared(&Arc::new(Shared::new(SharedSettings::new(store, false))))
    }

    pub(crate) fn of_shared(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// The versions of the policy, the active one first. `None` if no policy was activated.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Store`], and [`PolicyError::Unreadable`] for what a later version of
    /// Portcullis has activated.
    pub async fn versions(&self) -> Result<Option<Versions>, PolicyError> {
        match self.shared.store().policy(None).await? {
            FoundPolicy::Found(stored) => Ok(Some(Versions::read(&stored)?)),
            FoundPolicy::Known | FoundPolicy::None => Ok(None),
        }
    }

    /// Counts how many live sessions a change would end now. It changes nothing.
    ///
    /// It reads every session of the realm, at a pace that takes about a fifth of the time of a
    /// Redis server.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub async fn plan(&self, change: &PolicyChange<'_>) -> Result<PolicyPlan, PolicyError> {
        let next = self.next(change).await?;
        self.count(&next).await
    }

    /// Estimates from at least `least` sessions how many a change would end. It is for stores that
    /// are too large to count, and is never used to [`apply`](Self::apply) a change.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub async fn plan_sample(
        &self,
        change: &PolicyChange<'_>,
        least: NonZeroU64,
    ) -> Result<PlanSample, PolicyError> {
        let next = self.next(change).await?;
        let candidate = next.candidate(self.shared.now())?;
        Ok(plan::sample(self.shared.context(), &candidate, least).await?)
    }

    /// Activates a change of the policy, if the version that it expects is active. The document
    /// that is active already is not activated again.
    ///
    /// Unless the change may end [any number](EndsAtMost::Any) of sessions, they are
    /// [counted](Self::plan) first. It is activated within 15 seconds of the count, or else they are
    /// counted again.
    ///
    /// The document is checked for the environment and the classes of the realm. Each process
    /// checks it once more, by what its code declares. A process that refuses it keeps the version
    /// before, and its [report](Self::reports) says why.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]. Nothing was changed, unless the store could not answer.
    pub async fn apply(&self, change: PolicyChange<'_>) -> Result<ActivatedPolicy, PolicyError> {
        loop {
            let next = self.next(&change).await?;
            if let Some((number, since)) = next.unchanged {
                return Ok(ActivatedPolicy {
                    number,
                    since,
                    unchanged: true,
                    plan: None,
                });
            }
            let plan = match change.ends_at_most {
                EndsAtMost::Any => None,
                _ => Some(self.count(&next).await?),
            };
            let counted_at = Instant::now();
            if let Some(plan) = &plan
                && let Some(most) = change.ends_at_most.of(plan.sessions())
                && plan.ends() > most
            {
                let plan = Box::new(plan.clone());
                return Err(PolicyError::EndsTooMany { plan, most });
            }
            // This process may have been paused.
            if plan.is_some() && counted_at.elapsed() > COUNT_HOLDS {
                continue;
            }
            let activate = ActivatePolicy::new(change.expected, next.number, &next.content);
            return match self.shared.store().activate_policy(activate).await? {
                PolicyActivated::Done(since) => {
                    self.note_activation(next.number, change.by).await;
                    // The other processes learn of it by themselves, and so does this one.
                    let _ = self.shared.confirm_policy().await;
                    Ok(ActivatedPolicy {
                        number: next.number,
                        since,
                        unchanged: false,
                        plan,
                    })
                }
                PolicyActivated::Conflict(active) => Err(PolicyError::Conflict { active }),
            };
        }
    }

    /// Ends the sessions that the active version has ended, and returns when all were. Returns
    /// `None` if no policy is active. It waits until 5.5 seconds after the activation, and while
    /// another process does it.
    ///
    /// Every process with a [`SessionLayer`](crate::SessionLayer) does this in the background. Call
    /// it to wait for it, or where no application runs.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]. What was ended stays ended, and another call goes on there.
    pub async fn settle(&self) -> Result<Option<Timestamp>, PolicyError> {
        let worker = process_name();
        loop {
            let Some(versions) = self.versions().await? else {
                return Ok(None);
            };
            let policy = Arc::new(of_versions(&versions, self.shared.now()));
            let settler = Settler::new(self.shared.context(), &policy, &worker);
            if let Progress::Done(at) = settler.run().await? {
                return Ok(Some(at));
            }
            time::sleep(WAIT).await;
        }
    }

    /// How many sessions the activation of a version has ended so far. It counts each session once,
    /// whoever ended it, and is kept for 30 days after the last one.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Store`].
    pub async fn receipt(&self, version: u64) -> Result<PolicyReceipt, PolicyError> {
        let ends = self.shared.store().policy_ends(version).await?;
        // The registry forgets a realm that can have no sessions any more.
        let classes = match self.realm().await {
            Ok(realm) => realm.classes,
            Err(PolicyError::Unregistered) => Vec::new(),
            Err(error) => return Err(error),
        };
        let ended = ends.into_iter();
        let ended = ended.map(|(code, count)| (plan::class_name(&classes, code), count));
        Ok(PolicyReceipt {
            ended: ended.collect(),
        })
    }

    /// Records an activation. If that fails, the history shows it all the same.
    async fn note_activation(&self, number: u64, by: &str) {
        let kind = EventKind::PolicyActivated(number.to_string());
        let note = Note::new(kind, Actor::Operator(by.to_owned()), None);
        if let Err(error) = self.shared.record(note).await {
            tracing::warn!(%error, "the activation of a policy is missing from the log");
        }
    }

    async fn count(&self, next: &Next) -> Result<PolicyPlan, PolicyError> {
        let candidate = next.candidate(self.shared.now())?;
        let classes = &next.realm.classes;
        Ok(plan::count(self.shared.context(), &candidate, classes).await?)
    }

    /// The version that a change would activate.
    async fn next(&self, change: &PolicyChange<'_>) -> Result<Next, PolicyError> {
        let before = self.versions().await?;
        let active = before.as_ref().and_then(Versions::active);
        let number = active.map(|active| active.number);
        if number != change.expected {
            return Err(PolicyError::Conflict { active: number });
        }
        let now = self.shared.now();
        let tightened = before.as_ref().and_then(|versions| versions.overlay(now));
        let active_text = || {
            let text = active.and_then(|active| active.text.as_deref());
            text.ok_or(PolicyError::NoPolicy)
        };
        let (text, overlay) = match change.to {
            To::Document(text) => (text, tightened.copied()),
            To::Version(to) => {
                let version = before.as_ref().and_then(|versions| versions.version(to));
                let text = version.and_then(|version| version.text.as_deref());
                let text = text.ok_or(PolicyError::UnknownVersion { number: to })?;
                (text, tightened.copied())
            }
            To::Tightened(limits, lasts) => {
                let text = active_text()?;
                if let Some(overlay) = tightened {
                    let until = overlay.until;
                    return Err(PolicyError::Tightened { until });
                }
                (text, Some(Overlay::new(limits, lasts, now)?))
            }
            To::Untightened => (active_text()?, None),
        };
        let digest = Document::parse(text)?.digest();
        let since = active.map(|active| active.since);
        let unchanged = active
            .filter(|active| digest == active.digest)
            .filter(|_| overlay.as_ref() == tightened);
        let unchanged = unchanged.map(|active| (active.number, active.since));
        let realm = self.realm().await?;
        let content = {
            let next = NextVersion {
                text,
                by: change.by,
                reason: change.reason,
                environment: realm.environment.as_ref().map(Environment::as_str),
                classes: &realm.classes,
                overlay,
            };
            Versions::content_with(before.as_ref(), next, now)?
        };
        Ok(Next {
            content: content.into(),
            number: self.next_number(number).await?,
            before: since,
            unchanged,
            realm,
        })
    }

    /// Which version each process uses, and why if it is not the active one. A process reports at
    /// least every 30 seconds, and is forgotten after 60 seconds. One that has never seen a policy
    /// does not report.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Store`].
    pub async fn reports(&self) -> Result<Vec<ReceivedReport>, PolicyError> {
        Ok(self.shared.store().policy_reports().await?)
    }

    /// The number of the next version: higher than that of any version that a process uses, also if
    /// the store has lost the policy.
    async fn next_number(&self, active: Option<u64>) -> Result<u64, PolicyError> {
        let reports = self.reports().await?.into_iter();
        let used = reports.filter_map(|received| received.report.number).max();
        Ok(active.max(used).unwrap_or(0).saturating_add(1))
    }

    /// The registry's entry of the realm.
    async fn realm(&self) -> Result<RegisteredRealm, PolicyError> {
        let realm = self.shared.realm();
        let is_ours = |known: &RegisteredRealm| known.realm == realm;
        if let Some(known) = self
            .shared
            .store()
            .realms()
            .await?
            .into_iter()
            .find(is_ours)
        {
            return Ok(known);
        }
        // A layer that has just started may not have registered yet, or the store has lost it.
        if let Some(registrar) = self.shared.registrar() {
            registrar.register().await?;
        }
        let realms = self.shared.store().realms().await?;
        let known = realms.into_iter().find(is_ours);
        known.ok_or(PolicyError::Unregistered)
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").finish_non_exhaustive()
    }
}
