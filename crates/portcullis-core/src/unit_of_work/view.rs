//! A session as a request, or a list, sees it.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

#[cfg(doc)]
use super::UnitOfWork;
use super::{SessionSettings, SessionStatus};
use crate::{
    ChangeError, ClassCode, Client, ClientChange, Operation, SessionHandle, SessionMeta, Timestamp,
    UserId, ValueKey,
    policy::{
        DemandLimits, ExplainedLimit, Explanation, FlaggedElevation, Judged, LimitName, LimitValue,
        Policy, Why,
    },
    record::{Head, Record},
    store::{Activity, Stored, Timing},
    value,
};

/// A session in memory. It is cheap to clone: changing a shared record copies it.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) timing: Timing,
    pub(super) record: Arc<Record>,
}

/// A session as a request sees it at one time, if it has one. It is cheap to clone, and does not
/// show later changes of the unit of work.
#[derive(Debug, Clone, Default)]
pub struct SessionView(pub(super) Option<View>);

/// The public name, times and limits of a session, for pages that show them. All times are on the
/// store's clock.
///
/// ```
/// # use portcullis_core::{SessionInfo, Timestamp};
/// fn seconds_left(info: &SessionInfo, now: Timestamp) -> u64 {
///     info.idle_deadline.since(now).as_secs()
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The public name.
    pub handle: SessionHandle,
    /// When the session began.
    pub created_at: Timestamp,
    /// When its user last signed in. `None` if it has no user.
    pub authenticated_at: Option<Timestamp>,
    /// The last activity that is stored. Later activity may not be stored yet.
    pub last_active_at: Timestamp,
    /// When the session ends if there is no further activity.
    pub idle_deadline: Timestamp,
    /// When the session ends in every case.
    pub absolute_deadline: Timestamp,
    /// How long the session may be inactive.
    pub idle_timeout: Duration,
    /// Whether its user asked to be [remembered](UnitOfWork::remember) on this device.
    pub remembered: bool,
    /// The character of its class. The store's registry has the name.
    pub class: ClassCode,
}

impl SessionInfo {
    /// When the session would end if there were activity at `now` and none after it.
    ///
    /// `None` if activity changes nothing, because the absolute deadline is first. An application
    /// can then offer no extension.
    pub fn extends_to(&self, now: Timestamp) -> Option<Timestamp> {
        let extended = now.after(self.idle_timeout).min(self.absolute_deadline);
        (self.idle_deadline < self.absolute_deadline).then_some(extended.max(self.idle_deadline))
    }
}

/// A live session in a list of one user's devices, or of an operator.
///
/// OWASP ASVS 5.0, 7.5.2, asks that users can view their sessions and end any of them.
///
/// ```
/// # use portcullis_core::SessionEntry;
/// fn line(entry: &SessionEntry) -> String {
///     let client = entry.client.clone().unwrap_or_default();
///     match entry.current {
///         true => format!("{client} (this device)"),
///         false => client.to_string(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEntry {
    /// The public name, times and limits.
    pub info: SessionInfo,
    /// The user, if the session has one.
    pub user: Option<UserId>,
    /// When its last elevation ends, for any scope. `None` if it is not elevated.
    pub elevated_until: Option<Timestamp>,
    /// What is known of the client, as of the last sign-in or elevation.
    pub client: Option<Client>,
    /// What differed when the session was used from what looks like another device since the last
    /// sign-in or elevation. The user should review such a session.
    pub flagged: Option<ClientChange>,
    /// Whether it is the session of the request that asks.
    pub current: bool,
}

impl SessionEntry {
    /// The entry of a stored session at `now`, under this policy. `None` if it cannot be read, or
    /// the policy has ended it.
    pub fn read(stored: &Stored, policy: &Arc<Policy>, now: Timestamp) -> Option<Self> {
        let status = SessionStatus::read(stored, policy).ok()?;
        if status.ended_by_policy(now).is_some() {
            return None;
        }
        let (info, head) = (status.info(), status.into_head());
        let (client, flagged) = match &head.device {
            Some(device) => (Some(device.client.clone()), device.change),
            None => (None, None),
        };
        Some(Self {
            info,
            elevated_until: head
                .elevated_until(stored.timing)
                .filter(|until| now < *until),
            client,
            flagged,
            user: head.user,
            current: false,
        })
    }
}

impl SessionView {
    /// Whether there is a session.
    pub fn exists(&self) -> bool {
        self.0.is_some()
    }

    /// The value under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Decode`] when what is stored is not a `T`.
    pub fn get<T: DeserializeOwned>(
        &self,
        key: &impl ValueKey<T>,
    ) -> Result<Option<T>, ChangeError> {
        let stored = self
            .0
            .as_ref()
            .and_then(|view| view.record.data.get(key.name()));
        stored.map(|bytes| decode(key.name(), bytes)).transpose()
    }

    /// Whether there is a value under `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.0
            .as_ref()
            .is_some_and(|view| view.record.data.contains_key(name))
    }

    /// The user of the session.
    pub fn user(&self) -> Option<&UserId> {
        self.0.as_ref()?.record.head.user.as_ref()
    }

    /// Whether the user asked to be remembered.
    pub fn is_remembered(&self) -> bool {
        let view = self.0.as_ref();
        view.is_some_and(|view| view.record.head.persistent)
    }

    /// The class of the session.
    pub fn class(&self) -> ClassCode {
        let view = self.0.as_ref();
        view.map_or(ClassCode::NONE, |view| view.record.head.class)
    }

    /// How long after the last privileged activity the elevations end, while there are any. Privileged
    /// activity after that must not bring them back.
    pub fn elevations_idle(&self, now: Timestamp) -> Option<Duration> {
        let View { timing, record } = self.0.as_ref()?;
        let mut elevations = record.head.elevations.iter();
        let lasts = elevations.any(|it| now < it.ends_at(timing.absolute_deadline));
        record.head.privileged_idle().filter(|_| lasts)
    }

    /// What differed when the session was used from what looks like another device since the
    /// last sign-in or elevation.
    pub fn flagged(&self) -> Option<ClientChange> {
        self.0.as_ref()?.record.head.device.as_ref()?.change
    }

    /// Why the session ends when it does, by this policy at `now`. `None` without a session.
    pub fn explain(&self, policy: &Policy, now: Timestamp) -> Option<Explanation> {
        let View { timing, record } = self.0.as_ref()?;
        let (head, idle) = (&record.head, timing.idle_timeout);
        let timeouts = policy.timeouts(head.class);
        let why = |limit, length| {
            let limits = policy.limits(head.class);
            let decision = limits.and_then(|limits| limits.decision(limit));
            let decision = decision.filter(|it| it.value == LimitValue::Length(length));
            let shortened = match limit {
                LimitName::Idle | LimitName::RememberIdle => head.shortest_idle() == Some(length),
                LimitName::Absolute | LimitName::RememberAbsolute => head.lifetime_is_shortened,
                _ => false,
            };
            match decision {
                _ if shortened => Why::Shortened,
                _ if head.user.is_none() => Why::Visitor,
                Some(decision) => Why::Decided(decision.clone()),
                None if self.flagged().is_some() && policy.flagged.idle == Some(length) => {
                    Why::Flagged
                }
                None => Why::Earlier,
            }
        };
        let explained = |limit, length, since: Timestamp, ends_at| ExplainedLimit {
            limit,
            length,
            since,
            ends_at,
            why: why(limit, length),
        };
        let (of_idle, of_absolute) = match head.persistent {
            true => (LimitName::RememberIdle, LimitName::RememberAbsolute),
            false => (LimitName::Idle, LimitName::Absolute),
        };
        let began = timing.absolute_deadline.before(head.lifetime());
        let stored = timing.absolute_deadline;
        let in_force = head.in_force(policy, *timing).map(|(_, ends_by)| ends_by);
        let deadline = in_force.map_or(stored, |ends_by| ends_by.min(stored));
        let lifetime = deadline.since(began);
        let privileged = timeouts.privileged_idle();
        let lost = policy.has_ended_privileges(head.class, timing.privileged_at, now);
        let lost = lost.map(|ended| ended.at);
        Some(Explanation {
            policy: policy.name.clone(),
            class: head.class,
            class_name: None,
            limits: vec![
                explained(
                    of_idle,
                    idle,
                    timing.last_active_at,
                    timing.idle_deadline().min(deadline),
                ),
                explained(of_absolute, lifetime, began, deadline),
                explained(
                    LimitName::PrivilegedIdle,
                    privileged,
                    timing.privileged_at,
                    lost.unwrap_or_else(|| timing.privileged_until(privileged).min(deadline)),
                ),
            ],
        })
    }

    /// When the approval for this operation ends under this policy, if there is one at `now`.
    pub fn approved_until(
        &self,
        operation: &Operation,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let View { timing, record } = self.0.as_ref()?;
        if record.head.lost_to_flag(policy) {
            return None;
        }
        let name = operation.stored_name();
        let mut approvals = record.head.approvals.iter();
        let approval = approvals.find(|approval| approval.scope == name)?;
        let ends_at = approval.ends_at(timing.absolute_deadline);
        Some(ends_at).filter(|ends_at| now < *ends_at)
    }

    /// Until when a session with a user meets this demand under this policy, if nothing else
    /// happens. `None` if it does not meet it at `now`.
    pub fn meets_until(
        &self,
        demand: &DemandLimits,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let View { timing, record } = self.0.as_ref()?;
        record.head.user.as_ref()?;
        let until = record.head.meets_until(*timing, demand, policy, now)?;
        (now < until).then_some(until)
    }

    /// The elevations in force at `now` under this policy: the scope of each, and when it ends.
    pub fn elevations(&self, policy: &Policy, now: Timestamp) -> Vec<(String, Timestamp)> {
        let Some(view) = &self.0 else {
            return Vec::new();
        };
        let head = &view.record.head;
        if head.lost_to_flag(policy) {
            return Vec::new();
        }
        let ends = head.elevation_ends(view.timing);
        let scopes = head
            .elevations
            .iter()
            .map(|elevation| elevation.scope.clone());
        scopes
            .zip(ends)
            .filter(|(_, ends_at)| now < *ends_at)
            .collect()
    }

    /// The session's public name, times and limits under this policy, if there is a session.
    pub fn info(&self, policy: &Policy) -> Option<SessionInfo> {
        let View { timing, record } = self.0.as_ref()?;
        Some(record.head.info(*timing, policy))
    }

    /// The info as it will be after a request at `now` has counted as activity.
    pub fn info_after_activity(&self, policy: &Policy, now: Timestamp) -> Option<SessionInfo> {
        let view = self.0.as_ref()?;
        if !view.timing.touch_is_due(Activity::Active, now) {
            return self.info(policy);
        }
        let View { timing, record } = view.clone().under(policy, Activity::Active);
        let timing = timing.after(Activity::Active, now);
        Some(record.head.info(timing, policy))
    }
}

impl Head {
    pub(super) fn info(&self, timing: Timing, policy: &Policy) -> SessionInfo {
        let ends_by = self.in_force(policy, timing).map(|(_, ends_by)| ends_by);
        let before = |deadline: Timestamp| ends_by.map_or(deadline, |at| at.min(deadline));
        let deadline = timing.absolute_deadline;
        SessionInfo {
            handle: self.handle,
            created_at: deadline.before(self.lifetime_since_creation()),
            authenticated_at: self.user.as_ref().map(|_| deadline.before(self.lifetime())),
            last_active_at: timing.last_active_at,
            idle_deadline: before(timing.idle_deadline()),
            absolute_deadline: before(deadline),
            idle_timeout: timing.idle_timeout,
            remembered: self.persistent,
            class: self.class,
        }
    }
}

impl Head {
    /// When the last of its elevations ends, of whatever scope.
    pub(super) fn elevated_until(&self, timing: Timing) -> Option<Timestamp> {
        self.elevation_ends(timing).max()
    }

    /// When the last of its elevations ends if privileged activity continues.
    pub(super) fn elevated_at_most_until(&self, absolute_deadline: Timestamp) -> Option<Timestamp> {
        let ends = self.elevations.iter();
        ends.map(|elevation| elevation.ends_at(absolute_deadline))
            .max()
    }

    /// When the elevation for `scope` ends, if there is one.
    pub(super) fn elevated_for(&self, scope: &str, timing: Timing) -> Option<Timestamp> {
        let scopes = self.elevations.iter().map(|elevation| &*elevation.scope);
        let mut ends = scopes.zip(self.elevation_ends(timing));
        ends.find_map(|(elevated, ends_at)| (elevated == scope).then_some(ends_at))
    }

    /// Until when a session meets this demand. `None` if it lacks the elevation, or an earlier
    /// version of the policy has ended its privileges. Then only a proof of identity restores them.
    pub(super) fn meets_until(
        &self,
        timing: Timing,
        demand: &DemandLimits,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let ended = policy.has_ended_privileges(self.class, timing.privileged_at, now);
        if ended.is_some() || (demand.scope.is_some() && self.lost_to_flag(policy)) {
            return None;
        }
        let elevated = match &demand.scope {
            Some(scope) => self.elevated_for(scope, timing)?,
            None => timing.idle_deadline(),
        };
        let proved_at = self.proved_at(timing.absolute_deadline);
        let limits = [
            demand.idle.map(|idle| timing.privileged_until(idle)),
            demand.max_auth_age.map(|age| proved_at.after(age)),
            self.in_force(policy, timing).map(|(_, ends_by)| ends_by),
        ];
        Some(limits.into_iter().flatten().fold(elevated, Timestamp::min))
    }

    /// Whether the policy ends the elevations and approvals of this session, because it was used
    /// from another device. The write that flags a session also drops them. But that write may
    /// fail, and a policy may be activated later.
    pub(super) fn lost_to_flag(&self, policy: &Policy) -> bool {
        self.is_flagged() && policy.flagged.elevation == FlaggedElevation::Ended
    }

    /// When each of its elevations ends. That is the first of three: its fixed end, the privileged
    /// idle timeout, the end of the session.
    pub(super) fn elevation_ends(&self, timing: Timing) -> impl Iterator<Item = Timestamp> {
        let last = match self.privileged_idle() {
            Some(idle) => timing.privileged_until(idle),
            None => timing.idle_deadline(),
        };
        let elevations = self.elevations.iter();
        elevations.map(move |elevation| elevation.ends_at(timing.absolute_deadline).min(last))
    }
}

impl Head {
    /// What decides whether a version of the policy has ended the session.
    pub(super) fn judged(&self, timing: Timing) -> Judged {
        Judged {
            class: self.class,
            is_remembered: self.persistent,
            is_flagged: self.is_flagged(),
            began: timing.absolute_deadline.before(self.lifetime()),
            last_active_at: timing.last_active_at,
        }
    }

    /// The limits of the version in force, if the policy was activated in the store. They are the
    /// idle timeout, and when the session ends in every case.
    pub(super) fn in_force(
        &self,
        policy: &Policy,
        timing: Timing,
    ) -> Option<(Duration, Timestamp)> {
        let judged = self.judged(timing);
        let limits = policy.version()?.limits(&judged);
        let idle = self.idle_at_most(limits.idle);
        Some((idle, judged.began.after(limits.absolute)))
    }
}

impl View {
    /// The session with the limits of the version in force. Only activity makes the idle timeout
    /// longer.
    pub(super) fn under(mut self, policy: &Policy, activity: Activity) -> Self {
        let head = &self.record.head;
        if let Some((idle, _)) = head.in_force(policy, self.timing) {
            let stored = self.timing.idle_timeout;
            self.timing.idle_timeout = match activity {
                Activity::Passive => idle.min(stored),
                Activity::Active | Activity::Privileged { .. } | Activity::Proof => idle,
            };
        }
        self
    }

    pub(super) fn record_mut(&mut self) -> &mut Record {
        Arc::make_mut(&mut self.record)
    }

    /// What a store must know.
    pub(super) fn meta(&self) -> SessionMeta {
        self.record.head.meta(self.timing.absolute_deadline)
    }

    pub(super) fn fresh(
        settings: &SessionSettings,
        client: Option<&Client>,
        now: Timestamp,
    ) -> Result<Self, ChangeError> {
        let limits = settings.limits_of_visitors();
        Ok(Self {
            timing: Timing::starting(now, limits),
            record: Arc::new(Record::new(
                SessionHandle::generate()?,
                limits.absolute,
                client.cloned(),
            )),
        })
    }

    pub(super) fn created_at(&self) -> Timestamp {
        self.timing
            .absolute_deadline
            .before(self.record.head.lifetime_since_creation())
    }

    /// Whether an elevation or an approval is in force.
    pub(super) fn has_privileges(&self, now: Timestamp) -> bool {
        let Self { timing, record } = self;
        let approvals = record.head.approvals.iter();
        let approvals = approvals.map(|approval| approval.ends_at(timing.absolute_deadline));
        let mut ends = record.head.elevation_ends(*timing).chain(approvals);
        ends.any(|ends_at| now < ends_at)
    }

    /// How long `moment` is before the absolute deadline. Zero if it is not before it.
    pub(super) fn before_deadline(&self, moment: Timestamp) -> Duration {
        self.timing.absolute_deadline.since(moment)
    }
}

pub(super) fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ChangeError> {
    value::decode(bytes).map_err(|error| ChangeError::Decode {
        key: name.to_owned(),
        reason: error.reason(),
    })
}
