//! A session as a request, or a list, sees it.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::SessionSettings;
#[cfg(doc)]
use super::UnitOfWork;
use crate::{
    ChangeError, Client, ClientChange, SessionHandle, SessionMeta, Timestamp, UserId, ValueKey,
    record::{Head, Record},
    store::{Stored, Timing},
    value,
};

/// A session in memory. Cheap to clone; the record is copied when one that others see is changed.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) timing: Timing,
    pub(super) record: Arc<Record>,
}

/// A session as a request sees it at one moment, if it has one. Cheap to clone; later changes of the unit of work
/// do not show in it.
#[derive(Debug, Clone, Default)]
pub struct SessionView(pub(super) Option<View>);

/// What a page may want to tell about a session. All moments are on the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The public name.
    pub handle: SessionHandle,
    /// When the session began.
    pub created_at: Timestamp,
    /// When its user signed in or last signed in again, if it has one.
    pub authenticated_at: Option<Timestamp>,
    /// When there last was activity, as far as it is written down.
    pub last_active_at: Timestamp,
    /// When the session ends without further activity.
    pub idle_deadline: Timestamp,
    /// When it ends whatever happens.
    pub absolute_deadline: Timestamp,
    /// For how long it may be inactive.
    pub idle_timeout: Duration,
    /// Its user asked to be [remembered](UnitOfWork::remember) on this device.
    pub remembered: bool,
}

impl SessionInfo {
    /// When the session would end if there were activity at `now` and none after it. `None` where activity changes nothing,
    /// because the absolute deadline comes first: then no extension can be offered.
    pub fn extends_to(&self, now: Timestamp) -> Option<Timestamp> {
        let extended = now.after(self.idle_timeout).min(self.absolute_deadline);
        (self.idle_deadline < self.absolute_deadline).then_some(extended.max(self.idle_deadline))
    }
}

/// A live session in a list: of its user's devices, or an operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEntry {
    /// Public name and moments.
    pub info: SessionInfo,
    /// Whose it is.
    pub user: Option<UserId>,
    /// Until when it is elevated, for whatever scope, if it is.
    pub elevated_until: Option<Timestamp>,
    /// What is known of the client, as it was when the user last proved who they are.
    pub client: Option<Client>,
    /// It has been used from what looks like another device since then: what was different. To be reviewed.
    pub flagged: Option<ClientChange>,
    /// It is the session of the request that asks.
    pub current: bool,
}

impl SessionEntry {
    /// What a stored session is at `now`. `None` if it cannot be read.
    pub fn read(stored: &Stored, now: Timestamp) -> Option<Self> {
        let head = Head::decode(&stored.payload).ok()?;
        let (client, flagged) = match &head.device {
            Some(device) => (Some(device.client.clone()), device.change),
            None => (None, None),
        };
        Some(Self {
            info: head.info(stored.timing),
            elevated_until: head
                .elevated_until(stored.timing.absolute_deadline)
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

    /// The user the session is bound to.
    pub fn user(&self) -> Option<&UserId> {
        self.0.as_ref()?.record.head.user.as_ref()
    }

    /// Whether the user asked to be remembered.
    pub fn is_remembered(&self) -> bool {
        let view = self.0.as_ref();
        view.is_some_and(|view| view.record.head.persistent)
    }

    /// Whether the session was used from what looks like another device since its user last proved who they
    /// are: what was different.
    pub fn flagged(&self) -> Option<ClientChange> {
        self.0.as_ref()?.record.head.device.as_ref()?.change
    }

    /// Until when the session is elevated for `scope`, if it is.
    pub fn elevated_until(&self, scope: &str, now: Timestamp) -> Option<Timestamp> {
        self.0
            .as_ref()?
            .elevated_until(scope)
            .filter(|until| now < *until)
    }

    /// The elevations in force at `now`: the scope of each, and when it ends.
    pub fn elevations(&self, now: Timestamp) -> Vec<(String, Timestamp)> {
        let Some(view) = &self.0 else {
            return Vec::new();
        };
        let deadline = view.timing.absolute_deadline;
        let elevations = view.record.head.elevations.iter();
        elevations
            .map(|elevation| (elevation.scope.clone(), elevation.ends_at(deadline)))
            .filter(|(_, ends_at)| now < *ends_at)
            .collect()
    }

    /// The session's public name and moments, if there is a session.
    pub fn info(&self) -> Option<SessionInfo> {
        let View { timing, record } = self.0.as_ref()?;
        Some(record.head.info(*timing))
    }

    /// The same as it will be once a request at `now` has counted as activity.
    pub fn info_after_activity(&self, now: Timestamp) -> Option<SessionInfo> {
        let View { timing, record } = self.0.as_ref()?;
        let due = timing.touch_is_due(now);
        Some(
            record
                .head
                .info(if due { timing.active(now) } else { *timing }),
        )
    }
}

impl Head {
    pub(super) fn info(&self, timing: Timing) -> SessionInfo {
        let deadline = timing.absolute_deadline;
        SessionInfo {
            handle: self.handle,
            created_at: deadline.before(self.lifetime_since_creation()),
            authenticated_at: self.user.as_ref().map(|_| deadline.before(self.lifetime())),
            last_active_at: timing.last_active_at,
            idle_deadline: timing.idle_deadline(),
            absolute_deadline: deadline,
            idle_timeout: timing.idle_timeout,
            remembered: self.persistent,
        }
    }
}

impl Head {
    /// When the last of its elevations ends, of whatever scope.
    pub(super) fn elevated_until(&self, absolute_deadline: Timestamp) -> Option<Timestamp> {
        self.elevation_ends(absolute_deadline).max()
    }

    /// When the elevation for `scope` ends, if there is one.
    pub(super) fn elevated_for(
        &self,
        scope: &str,
        absolute_deadline: Timestamp,
    ) -> Option<Timestamp> {
        let mut elevations = self.elevations.iter();
        let elevation = elevations.find(|elevation| elevation.scope == scope)?;
        Some(elevation.ends_at(absolute_deadline))
    }

    /// When each of its elevations ends.
    pub(super) fn elevation_ends(
        &self,
        absolute_deadline: Timestamp,
    ) -> impl Iterator<Item = Timestamp> {
        let elevations = self.elevations.iter();
        elevations.map(move |elevation| elevation.ends_at(absolute_deadline))
    }
}

impl View {
    pub(super) fn record_mut(&mut self) -> &mut Record {
        Arc::make_mut(&mut self.record)
    }

    /// What a store must know.
    pub(super) fn meta(&self) -> SessionMeta {
        self.record.head.meta(self.timing.absolute_deadline)
    }

    pub(super) fn fresh(
        policy: &SessionSettings,
        client: Option<&Client>,
        now: Timestamp,
    ) -> Result<Self, ChangeError> {
        let limits = policy.limits_of_visitors();
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

    pub(super) fn elevated_until(&self, scope: &str) -> Option<Timestamp> {
        let Self { timing, record } = self;
        record.head.elevated_for(scope, timing.absolute_deadline)
    }

    pub(super) fn is_elevated(&self, now: Timestamp) -> bool {
        let Self { timing, record } = self;
        let mut ends = record.head.elevation_ends(timing.absolute_deadline);
        ends.any(|ends_at| now < ends_at)
    }

    /// How long before the absolute deadline `moment` is; zero if it is not before.
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
