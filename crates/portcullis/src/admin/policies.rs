//! Activates policies, and shows which process uses which.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use portcullis_core::{
    Environment, Timestamp, debug_as_message,
    store::{
        ActivatePolicy, FoundPolicy, PolicyActivated, ReceivedReport, RegisteredRealm, Store,
        StoreError,
    },
};
use portcullis_policy::{Document, InvalidDocument, NextVersion, UnreadablePolicy, Versions};

use crate::runtime::shared::{Shared, SharedSettings};

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
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = SessionLayer::new(MemoryStore::new());
/// let policies = layer.policies();
/// let text = "schema = 1\n[limits]\nidle = '10m'\n";
/// let activated = policies.activate(text, None, "ada", Some("SEC-214")).await?;
/// assert_eq!(activated.number, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Policies {
    shared: Arc<Shared>,
}

/// What an activation has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActivatedPolicy {
    /// The number of the active version.
    pub number: u64,
    /// Since when it is active, on the store's clock.
    pub since: Timestamp,
    /// Whether the same document was active before. Then nothing was changed.
    pub unchanged: bool,
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

    /// Activates the document with this text, if the version `expected` is active (`None`: if none
    /// is). The history shows who it was (`by`) and the reason; each has at most 200 bytes. The
    /// document that is active already is not activated again.
    ///
    /// The document is checked for the environment and the classes of the realm. Each process
    /// checks it once more, by what its code declares. A process that refuses it keeps the version
    /// before, and its [report](Self::reports) says why.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]. Nothing was changed, unless the store could not answer.
    pub async fn activate(
        &self,
        text: &str,
        expected: Option<u64>,
        by: &str,
        reason: Option<&str>,
    ) -> Result<ActivatedPolicy, PolicyError> {
        let before = self.versions().await?;
        let active = before.as_ref().and_then(Versions::active);
        let number = active.map(|active| active.number);
        if number != expected {
            return Err(PolicyError::Conflict { active: number });
        }
        if let Some(active) = active
            && Document::parse(text)?.digest() == active.digest
        {
            return Ok(ActivatedPolicy {
                number: active.number,
                since: active.since,
                unchanged: true,
            });
        }
        let realm = self.realm().await?;
        let next = NextVersion {
            text,
            by,
            reason,
            environment: realm.environment.as_ref().map(Environment::as_str),
            classes: &realm.classes,
        };
        let content = Versions::content_with(before.as_ref(), next, self.shared.now())?;
        let number = self.next_number(number).await?;
        let content = Bytes::from(content);
        let activate = ActivatePolicy::new(expected, number, &content);
        match self.shared.store().activate_policy(activate).await? {
            PolicyActivated::Done(since) => {
                // The other processes learn of it by themselves, and so does this one.
                let _ = self.shared.confirm_policy().await;
                Ok(ActivatedPolicy {
                    number,
                    since,
                    unchanged: false,
                })
            }
            PolicyActivated::Conflict(active) => Err(PolicyError::Conflict { active }),
        }
    }

    /// Activates the document of an earlier version again, as a new version. It spares no session
    /// that another version has ended.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate), and [`PolicyError::UnknownVersion`].
    pub async fn roll_back(
        &self,
        to: u64,
        expected: Option<u64>,
        by: &str,
        reason: Option<&str>,
    ) -> Result<ActivatedPolicy, PolicyError> {
        let versions = self.versions().await?;
        let version = versions.as_ref().and_then(|versions| versions.version(to));
        let text = version.and_then(|version| version.text.as_deref());
        let text = text.ok_or(PolicyError::UnknownVersion { number: to })?;
        self.activate(text, expected, by, reason).await
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
