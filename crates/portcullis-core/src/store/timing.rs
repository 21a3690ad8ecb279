//! The moments of a session and the writes to it.
//!
//! Activity is written in steps, which shortens a session and never extends it:
//! [`touch_is_due`](Timing::touch_is_due).

use std::time::Duration;

use crate::Timestamp;

/// The two limits of a session, counted from the moment a store writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`Timeouts::idle`](crate::Timeouts::idle). Whole milliseconds, at most two years.
    pub idle: Duration,
    /// See [`Timeouts::absolute`](crate::Timeouts::absolute). Whole milliseconds.
    pub absolute: Duration,
}

/// Other limits of a session that keeps its deadlines otherwise. `None` leaves each as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store must write each of them")]
pub struct NewLimits {
    /// Another idle timeout. Whole milliseconds, at most two years.
    pub idle_timeout: Option<Duration>,
    /// An earlier absolute deadline. A later one than the stored one changes nothing.
    pub absolute_deadline: Option<Timestamp>,
    /// Whether its elevations end now, with a write that keeps its key. Their expiry is then no
    /// longer reported.
    pub elevations_end: bool,
}

/// The moments of a live session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// When the session ends whatever happens.
    pub absolute_deadline: Timestamp,
    /// How long it is live without activity.
    pub idle_timeout: Duration,
    /// When there last was activity.
    pub last_active_at: Timestamp,
    /// When there last was [privileged activity](Activity::Privileged), or a proof of identity.
    pub privileged_at: Timestamp,
}

impl Timing {
    /// The timing of a session that starts `now`.
    pub fn starting(now: Timestamp, limits: Limits) -> Self {
        Self {
            absolute_deadline: now.after(limits.absolute),
            idle_timeout: limits.idle,
            last_active_at: now,
            privileged_at: now,
        }
    }

    /// When the session ends without further activity. Never after the absolute deadline.
    pub fn idle_deadline(&self) -> Timestamp {
        self.last_active_at
            .after(self.idle_timeout)
            .min(self.absolute_deadline)
    }

    /// Whether the session is live at `now`. At its deadline it is not.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.idle_deadline()
    }

    /// Until when privileged routes may be used without another proof, if `idle` is the privileged
    /// idle timeout. Never after the end of the session.
    pub fn privileged_until(&self, idle: Duration) -> Timestamp {
        self.privileged_at.after(idle).min(self.idle_deadline())
    }

    /// Whether activity of this kind at `now` is to be written: the last one is at least a step of
    /// granularity ago.
    ///
    /// The step is a thirtieth of the idle timeout, at least a second and at most a minute, and
    /// never more than a tenth of the idle timeout. A session may end up to that much early, never
    /// late. For privileged activity, the privileged idle timeout has a step of its own.
    pub fn touch_is_due(&self, activity: Activity, now: Timestamp) -> bool {
        let is_due = now.since(self.last_active_at) >= step(self.idle_timeout);
        match activity {
            Activity::Passive => false,
            Activity::Active => is_due,
            Activity::Privileged { idle } => {
                let privileged = now.since(self.privileged_at) >= step(idle);
                is_due || (privileged && now < self.privileged_until(idle))
            }
            Activity::Proof => true,
        }
    }

    /// Until when the session may have been in use, although no later activity was written.
    pub fn perhaps_active_until(&self) -> Timestamp {
        self.last_active_at.after(step(self.idle_timeout))
    }

    /// The same with these other limits.
    #[must_use]
    pub fn with(self, new: NewLimits) -> Self {
        let absolute = self.absolute_deadline;
        Self {
            idle_timeout: new.idle_timeout.unwrap_or(self.idle_timeout),
            absolute_deadline: new
                .absolute_deadline
                .map_or(absolute, |at| at.min(absolute)),
            ..self
        }
    }

    /// The same after activity at `now`. No moment is moved back.
    #[must_use]
    pub fn after(self, activity: Activity, now: Timestamp) -> Self {
        let privileged = match activity {
            Activity::Passive => return self,
            Activity::Active => false,
            // What has ended meanwhile stays ended.
            Activity::Privileged { idle } => now < self.privileged_at.after(idle),
            Activity::Proof => true,
        };
        let privileged_at = match privileged {
            true => self.privileged_at.max(now),
            false => self.privileged_at,
        };
        Self {
            last_active_at: self.last_active_at.max(now),
            privileged_at,
            ..self
        }
    }
}

/// How long after a written activity the next one is written.
fn step(idle: Duration) -> Duration {
    (idle / 30)
        .clamp(Duration::from_secs(1), Duration::from_secs(60))
        .min(idle / 10)
}

/// Identifies a write of a session. Never the same for two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(pub u32);

/// Whether an operation counts as activity of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It does not.
    Passive,
    /// It does: last activity becomes now.
    Active,
    /// It does, on a route that demands privilege: last privileged activity becomes now as well,
    /// unless it is already at least `idle` ago. Only a proof restores it then.
    Privileged {
        /// The privileged idle timeout. Whole milliseconds.
        idle: Duration,
    },
    /// The user has proved their identity: both become now.
    Proof,
}

impl Activity {
    /// The activity of two operations that are carried out together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Proof, _) | (_, Self::Proof) => Self::Proof,
            (Self::Privileged { idle: one }, Self::Privileged { idle: other }) => {
                Self::Privileged {
                    idle: one.min(other),
                }
            }
            (privileged @ Self::Privileged { .. }, _)
            | (_, privileged @ Self::Privileged { .. }) => privileged,
            (Self::Active, _) | (_, Self::Active) => Self::Active,
            (Self::Passive, Self::Passive) => Self::Passive,
        }
    }
}

/// What becomes of the deadlines when a session is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// The absolute deadline and the idle timeout stay; the move counts as activity or not.
    Keep(Activity),
    /// Both are set anew. Only a full authentication does this (NIST SP 800-63B-4, 5.2).
    Restart(Limits),
}
