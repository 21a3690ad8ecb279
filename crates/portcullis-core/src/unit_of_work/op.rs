//! The operations that a handler can ask for. Each can be applied again to a newer state.

use std::{fmt, time::Duration};

use bytes::Bytes;

use super::{PayloadLimits, View};
use crate::{
    ChangeError, ClassCode, Client, ClientChange, EventKind, Operation, SessionHandle, Timeouts,
    Timestamp, UserId,
    elevation::Elevation,
    record::Device,
    store::{Activity, Limits, Timing},
};

type Rewrite = Box<dyn FnMut(Option<&Bytes>) -> Result<Bytes, ChangeError> + Send>;

pub(super) enum Op {
    Set(String, Bytes),
    Update(String, Rewrite),
    Remove(String),
    /// Removes the value unless this function can read it.
    RemoveUnreadable(String, fn(&[u8]) -> bool),
    Clear,
    Bind {
        user: UserId,
        /// The handle of the session if it becomes another one.
        handle: SessionHandle,
        at: Timestamp,
        limits: Limits,
        client: Option<Client>,
        /// The user's other sessions end in the same step.
        ends_others: bool,
    },
    /// Makes the sign-in before it a remembered one.
    Remember {
        at: Timestamp,
        limits: Limits,
    },
    /// Gives the sign-in before it a class.
    Classify {
        at: Timestamp,
        class: ClassCode,
        limits: Limits,
        timeouts: Timeouts,
    },
    Grant {
        scope: String,
        at: Timestamp,
        timeouts: Timeouts,
        /// The idle timeout without the cap of flagged sessions, if there is one.
        idle: Option<Duration>,
        client: Option<Client>,
    },
    /// The user proved their identity for one operation.
    Approve {
        operation: Operation,
        at: Timestamp,
        ends_at: Timestamp,
        /// The idle timeout without the cap of flagged sessions, if there is one.
        idle: Option<Duration>,
        client: Option<Client>,
    },
    /// The operation is carried out, and needs its approval.
    UseApproval(Operation),
    /// The operation failed, and its approval may be used again until this time.
    RestoreApproval(Operation, Timestamp),
    DropElevations,
    Regenerate,
    /// The user asked to stay signed in: activity at this time.
    Extend(Timestamp),
    /// The application shortens the idle timeout, or brings the absolute deadline forward.
    Shorten {
        idle: Option<Duration>,
        ends_by: Option<Timestamp>,
    },
    /// The session is used from another client, and then has at most this idle timeout.
    Observe(Client, ClientChange, Option<Duration>),
}

impl Op {
    /// Applies the operation, whole or not at all.
    pub(super) fn apply(
        &mut self,
        view: &mut View,
        limits: PayloadLimits,
    ) -> Result<(), ChangeError> {
        match self {
            Self::Set(name, value) => view.put(name, value.clone(), limits.of(view))?,
            Self::Update(name, rewrite) => {
                let value = rewrite(view.record.data.get(name))?;
                view.put(name, value, limits.of(view))?;
            }
            Self::Remove(name) => {
                view.record_mut().data.remove(name);
            }
            // Another request may have stored a value that can be read.
            Self::RemoveUnreadable(name, is_readable) => {
                let stored = view.record.data.get(name);
                if stored.is_some_and(|bytes| !is_readable(bytes)) {
                    view.record_mut().data.remove(name);
                }
            }
            Self::Clear => view.record_mut().data.clear(),
            Self::Bind {
                user,
                handle,
                at,
                limits,
                client,
                ..
            } => {
                view.bind(user, *handle, *at, *limits);
                view.trust(client.as_ref());
            }
            Self::Remember { at, limits } => view.remember(*at, *limits),
            Self::Classify {
                at,
                class,
                limits,
                timeouts,
            } => view.classify(*at, *class, *limits, *timeouts),
            Self::Grant {
                scope,
                at,
                timeouts,
                idle,
                client,
            } => {
                view.prove(*at, *idle, client.as_ref());
                view.grant(scope, *at, *timeouts);
            }
            Self::Approve {
                operation,
                at,
                ends_at,
                idle,
                client,
            } => {
                view.prove(*at, *idle, client.as_ref());
                view.approve(operation, *ends_at);
            }
            Self::UseApproval(operation) => {
                let name = operation.stored_name();
                let approval = view.record_mut().head.take_approval(&name);
                approval.ok_or(ChangeError::NotApproved)?;
            }
            Self::RestoreApproval(operation, ends_at) => view.approve(operation, *ends_at),
            Self::Extend(at) => view.timing = view.timing.after(Activity::Active, *at),
            Self::DropElevations | Self::Regenerate | Self::Shorten { .. } | Self::Observe(..) => {
                self.apply_if_restrictive(view);
            }
        }
        Ok(())
    }

    /// Applies the operation if it only takes rights away or records an observation, and returns
    /// whether it did. Such an operation takes effect even if the request is refused or fails.
    pub(super) fn apply_if_restrictive(&self, view: &mut View) -> bool {
        match self {
            // An elevation that only this request granted was dropped already.
            Self::DropElevations if !view.record.head.has_elevations() => return false,
            Self::DropElevations | Self::Regenerate => view.record_mut().head.drop_elevations(),
            Self::Shorten { idle, ends_by } => view.shorten(*idle, *ends_by),
            Self::Observe(client, _, idle) => {
                let capped = idle.unwrap_or(view.timing.idle_timeout);
                view.timing.idle_timeout = view.timing.idle_timeout.min(capped);
                if let Some(device) = &mut view.record_mut().head.device {
                    device.observe(client);
                }
            }
            _ => return false,
        }
        true
    }

    /// Whether it grants rights that the session did not have: a sign-in or an elevation.
    pub(super) fn grants(&self) -> bool {
        matches!(
            self,
            Self::Bind { .. } | Self::Grant { .. } | Self::Approve { .. }
        )
    }

    /// Whether it needs a new identifier.
    pub(super) fn changes_identifier(&self) -> bool {
        matches!(
            self,
            Self::Bind { .. }
                | Self::Grant { .. }
                | Self::Approve { .. }
                | Self::DropElevations
                | Self::Regenerate
        )
    }

    /// Whether the user has proved their identity for it, in a session that keeps its deadlines.
    pub(super) fn proves(&self) -> bool {
        matches!(self, Self::Grant { .. } | Self::Approve { .. })
    }

    /// Whether a user asked to stay signed in.
    pub(super) fn extends(&self) -> bool {
        matches!(self, Self::Extend(_))
    }

    /// Whether it records a client that the session knows already.
    pub(super) fn is_known_to(&self, view: &View) -> bool {
        match (self, &view.record.head.device) {
            (Self::Observe(client, ..), Some(device)) => device.change_to(client).is_none(),
            _ => false,
        }
    }

    /// The event of the session that it causes, if any.
    pub(super) fn event(&self) -> Option<EventKind> {
        match self {
            Self::Bind { .. } => Some(EventKind::Authenticated),
            Self::Grant { scope, .. } => Some(EventKind::Elevated(scope.clone())),
            Self::Approve { operation, .. } => {
                Some(EventKind::OperationApproved(operation.demand().to_owned()))
            }
            Self::UseApproval(operation) => {
                Some(EventKind::ApprovalUsed(operation.demand().to_owned()))
            }
            Self::RestoreApproval(operation, _) => {
                Some(EventKind::ApprovalRestored(operation.demand().to_owned()))
            }
            Self::DropElevations => Some(EventKind::ElevationDropped),
            Self::Regenerate => Some(EventKind::Regenerated),
            Self::Shorten { .. } => Some(EventKind::Shortened),
            Self::Observe(_, change, _) => Some(EventKind::DeviceChanged(*change)),
            Self::Set(..)
            | Self::Update(..)
            | Self::Remove(..)
            | Self::RemoveUnreadable(..)
            | Self::Clear
            | Self::Remember { .. }
            | Self::Classify { .. }
            | Self::Extend(_) => None,
        }
    }

    /// Whether it authenticates `user` and ends their other sessions.
    pub(super) fn ends_others_of(&self, user: &UserId) -> bool {
        matches!(self, Self::Bind { user: bound, ends_others: true, .. } if bound == user)
    }

    /// The time and the limits of an authentication, if it is one.
    pub(super) fn restarts(&self) -> Option<(Timestamp, Limits)> {
        match self {
            Self::Bind { at, limits, .. }
            | Self::Remember { at, limits }
            | Self::Classify { at, limits, .. } => Some((*at, *limits)),
            _ => None,
        }
    }
}

impl View {
    fn put(&mut self, name: &str, value: Bytes, limit: usize) -> Result<(), ChangeError> {
        let old = self
            .record
            .data
            .get(name)
            .map_or(0, |old| name.len() + old.len());
        let size = self.record.size() - old + name.len() + value.len();
        // A lowered limit must not keep a session from shrinking.
        if size > limit && size > self.record.size() {
            return Err(ChangeError::TooLarge { size, limit });
        }
        self.record_mut().data.insert(name.to_owned(), value);
        Ok(())
    }

    fn bind(&mut self, user: &UserId, handle: SessionHandle, at: Timestamp, limits: Limits) {
        let age = match &self.record.head.user {
            // The same user again: the session keeps its handle.
            Some(current) if current == user => at.since(self.created_at()),
            current => {
                if current.is_some() {
                    self.record_mut().data.clear();
                }
                self.record_mut().head.handle = handle;
                Duration::ZERO
            }
        };
        let head = &mut self.record_mut().head;
        head.user = Some(user.clone());
        head.drop_elevations();
        head.class = ClassCode::NONE;
        head.persistent = false;
        // Fields of a later version describe the previous authentication.
        head.forget_unknown();
        head.restart(limits.absolute, age);
        self.timing = Timing::starting(at, limits);
    }

    fn remember(&mut self, at: Timestamp, limits: Limits) {
        self.restart(at, limits);
        self.record_mut().head.persistent = true;
    }

    fn classify(&mut self, at: Timestamp, class: ClassCode, limits: Limits, timeouts: Timeouts) {
        self.restart(at, limits);
        let shortest = self.before_deadline(at.after(timeouts.elevation()));
        let head = &mut self.record_mut().head;
        head.class = class;
        head.cap_elevations(shortest, timeouts.privileged_idle());
    }

    /// Gives the sign-in of this request other limits.
    fn restart(&mut self, at: Timestamp, limits: Limits) {
        let before = self.timing.absolute_deadline;
        let head = &self.record.head;
        let ends_by = head.lifetime_is_shortened.then_some(before);
        let idle = head.idle_at_most(limits.idle);
        self.timing = Timing::starting(at, Limits { idle, ..limits });
        let after = self.timing.absolute_deadline;
        let head = &mut self.record_mut().head;
        head.set_lifetime(limits.absolute);
        head.keep_moments(before, after);
        if let Some(ends_by) = ends_by {
            self.end_by(ends_by);
        }
    }

    fn shorten(&mut self, idle: Option<Duration>, ends_by: Option<Timestamp>) {
        if let Some(idle) = idle.filter(|idle| *idle < self.timing.idle_timeout) {
            self.timing.idle_timeout = idle;
            self.record_mut().head.shorten_idle(idle);
        }
        if let Some(ends_by) = ends_by {
            self.end_by(ends_by);
        }
    }

    /// Brings the absolute deadline forward. Everything else keeps its moment.
    fn end_by(&mut self, ends_by: Timestamp) {
        let before = self.timing.absolute_deadline;
        if ends_by < before {
            self.timing.absolute_deadline = ends_by;
            let head = &mut self.record_mut().head;
            let lifetime = head.lifetime().saturating_sub(before.since(ends_by));
            head.set_lifetime(lifetime);
            head.keep_moments(before, ends_by);
            head.lifetime_is_shortened = true;
        }
    }

    fn grant(&mut self, scope: &str, at: Timestamp, timeouts: Timeouts) {
        let ends_at = self.before_deadline(at.after(timeouts.elevation()));
        let elevation = Elevation::new(scope.to_owned(), ends_at);
        let head = &mut self.record_mut().head;
        head.elevate(elevation, timeouts.privileged_idle());
    }

    fn approve(&mut self, operation: &Operation, ends_at: Timestamp) {
        let ends_at = self.before_deadline(ends_at);
        let approval = Elevation::new(operation.stored_name(), ends_at);
        self.record_mut().head.approve(approval);
    }

    /// The user has proved their identity. The limits of flagged sessions no longer apply.
    fn prove(&mut self, at: Timestamp, idle: Option<Duration>, client: Option<&Client>) {
        if let Some(idle) = idle.filter(|_| self.record.head.is_flagged()) {
            self.timing.idle_timeout = self.record.head.idle_at_most(idle);
        }
        self.timing = self.timing.after(Activity::Proof, at);
        let proof = self.before_deadline(at);
        self.record_mut().head.set_last_proof(proof);
        self.trust(client);
    }
}

impl View {
    /// The user just authenticated, in a sign-in or an elevation, from this client. Other clients
    /// are compared with it.
    fn trust(&mut self, client: Option<&Client>) {
        self.record_mut().head.device = client.cloned().map(Device::new);
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set(..) => "Set",
            Self::Update(..) => "Update",
            Self::Remove(..) => "Remove",
            Self::RemoveUnreadable(..) => "RemoveUnreadable",
            Self::Clear => "Clear",
            Self::Bind { .. } => "Bind",
            Self::Remember { .. } => "Remember",
            Self::Classify { .. } => "Classify",
            Self::Grant { .. } => "Grant",
            Self::Approve { .. } => "Approve",
            Self::UseApproval(..) => "UseApproval",
            Self::RestoreApproval(..) => "RestoreApproval",
            Self::DropElevations => "DropElevations",
            Self::Regenerate => "Regenerate",
            Self::Extend(_) => "Extend",
            Self::Shorten { .. } => "Shorten",
            Self::Observe(..) => "Observe",
        })
    }
}
