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

/// The moments of a live session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// When the session ends whatever happens.
    pub absolute_deadline: Timestamp,
    /// How long it is live without activity.
    pub idle_timeout: Duration,
    /// When there last was activity.
    pub last_active_at: Timestamp,
}

impl Timing {
    /// The timing of a session that starts `now`.
    pub fn starting(now: Timestamp, limits: Limits) -> Self {
        Self {
            absolute_deadline: now.after(limits.absolute),
            idle_timeout: limits.idle,
            last_active_at: now,
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

    /// Whether activity at `now` is to be written: the last activity is at least a step of
    /// granularity ago.
    ///
    /// The step is a thirtieth of the idle timeout, at least a second and at most a minute, and
    /// never more than a tenth of the idle timeout. A session may end up to that much early, never
    /// late.
    pub fn touch_is_due(&self, now: Timestamp) -> bool {
        let step = (self.idle_timeout / 30)
            .clamp(Duration::from_secs(1), Duration::from_secs(60))
            .min(self.idle_timeout / 10);
        now.since(self.last_active_at) >= step
    }

    /// The same with activity at `now`, unless there was later activity already.
    #[must_use]
    pub fn active(self, now: Timestamp) -> Self {
        Self {
            last_active_at: self.last_active_at.max(now),
            ..self
        }
    }
}

/// Identifies a write of a session. Never the same for two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(pub u32);

/// Whether an operation counts as activity of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It does: last activity becomes now.
    Active,
    /// It does not.
    Passive,
}

/// What becomes of the deadlines when a session is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// The absolute deadline and the idle timeout stay; the move counts as activity or not.
    Keep(Activity),
    /// Both are set anew. Only a full authentication does this (NIST SP 800-63B-4, 5.2).
    Restart(Limits),
}
