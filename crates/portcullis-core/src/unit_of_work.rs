//! One request's view of its session, and the changes that it asks for.
//!
//! A [`UnitOfWork`] starts from what the store had and records the handler's changes as operations.
//! At the end it turns them into one [`Plan`]. It does no IO: the caller carries the plan out and
//! reports the result to the unit of work.
//!
//! If another request was faster, [`rebase`](UnitOfWork::rebase) applies the same operations to
//! what is stored now. So no request's change is lost.

mod group;
mod op;
mod ops;
mod plan;
mod privileges;
mod status;
mod view;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    group::{Group, InPlace},
    plan::{Plan, Step, TouchStep},
    privileges::without_privileges,
    status::SessionStatus,
    view::{SessionEntry, SessionInfo, SessionView},
};
use self::{
    op::Op,
    ops::Ops,
    view::{View, decode},
};
use crate::{
    ChangeError, Class, Client, ClientChange, EndReason, Operation, Policy, SessionHandle,
    SessionIdHash, Timestamp, UserId, ValueKey, VisitorLimits, approval,
    policy::{ClassLimits, EndedByPolicy, FlaggedElevation},
    record::{Record, Unreadable},
    store::{Activity, Limits, Revision, StoreError, Stored},
    time::millis,
    value,
};

/// The shortest time to which an application can shorten a timeout.
const SHORTEST: Duration = Duration::from_secs(1);

/// The settings of a unit of work.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "the layer builds it")]
pub struct SessionSettings {
    /// The limits of each class.
    pub policy: Arc<Policy>,
    /// How many bytes of names and encoded values a session may hold.
    pub payload_limit: usize,
    /// The limits of sessions without a user.
    pub visitors: VisitorLimits,
}

impl SessionSettings {
    /// The limits of a session without a user.
    fn limits_of_visitors(&self) -> Limits {
        let timeouts = &self.policy.ordinary.timeouts;
        let absolute = self.visitors.absolute().min(timeouts.absolute());
        Limits {
            idle: timeouts.idle().min(absolute),
            absolute,
        }
    }

    fn payload(&self) -> PayloadLimits {
        PayloadLimits {
            of_users: self.payload_limit,
            of_visitors: self.payload_limit.min(self.visitors.payload()),
        }
    }
}

/// How many bytes of names and encoded values sessions may hold.
#[derive(Debug, Clone, Copy)]
struct PayloadLimits {
    of_users: usize,
    of_visitors: usize,
}

impl PayloadLimits {
    fn of(self, view: &View) -> usize {
        match view.record.head.user {
            Some(_) => self.of_users,
            None => self.of_visitors,
        }
    }
}

/// One request's view of its session, and the changes that it asks for.
#[derive(Debug)]
pub struct UnitOfWork {
    settings: SessionSettings,
    /// The client that sent the request.
    client: Option<Client>,
    /// When the request arrived: the earliest time that the store's clock may have shown.
    began: Option<Timestamp>,
    /// The live session that the next write builds on.
    origin: Option<Origin>,
    /// The identifier in the request was replaced a moment ago, or its session ended during the
    /// request.
    replaced: bool,
    /// The request asked to end a session that continues under another identifier. That is refused
    /// unless the request then signs in: a full authentication needs nothing of the earlier
    /// session.
    end_refused: bool,
    /// The session that this request ended, and why. The plan ends it.
    ending: Option<(Origin, EndReason)>,
    /// Two live sessions that came with the request under one cookie name. Neither counts. A
    /// sign-in or a sign-out ends both.
    candidates: Vec<Origin>,
    /// The request asked to end the candidates.
    ends_candidates: bool,
    /// The operations that the handler asked for, in order.
    ops: Ops,
    /// `origin` with `ops` applied: what the handler sees.
    view: SessionView,
}

/// A live session as it was read or last written. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Origin {
    key: SessionIdHash,
    revision: Revision,
    view: View,
}

impl UnitOfWork {
    /// A request without a live session. `ended` says why the session in its cookie has ended, if
    /// known.
    pub fn without_session(settings: SessionSettings, ended: Option<EndReason>) -> Self {
        Self {
            settings,
            client: None,
            began: None,
            origin: None,
            replaced: ended.is_some_and(EndReason::is_replacement),
            ending: None,
            candidates: Vec::new(),
            ends_candidates: false,
            end_refused: false,
            ops: Ops::default(),
            view: SessionView(None),
        }
    }

    /// A request with two live sessions under one cookie name. Neither counts: reads see no
    /// session, and data cannot be written. A sign-in or a sign-out ends both and takes over
    /// nothing of them.
    pub fn of_candidates(settings: SessionSettings, candidates: [Origin; 2]) -> Self {
        Self {
            candidates: candidates.into(),
            ..Self::without_session(settings, None)
        }
    }

    /// A request with the live session `stored` under `key`.
    ///
    /// # Errors
    ///
    /// [`Unusable`] when the payload cannot be read.
    pub fn of_session(
        settings: SessionSettings,
        key: SessionIdHash,
        stored: &Stored,
    ) -> Result<Self, Unusable> {
        Ok(Self::of_origin(settings, Origin::read(key, stored)?))
    }

    /// A request with a live session that was read already.
    pub fn of_origin(settings: SessionSettings, origin: Origin) -> Self {
        let view = origin
            .view
            .clone()
            .under(&settings.policy, Activity::Passive);
        Self {
            view: SessionView(Some(view)),
            origin: Some(origin),
            ..Self::without_session(settings, None)
        }
    }

    /// The same request, from this client.
    #[must_use]
    pub fn from_client(self, client: Client) -> Self {
        Self {
            client: Some(client),
            ..self
        }
    }

    /// The same request, which arrived at `earliest`: the earliest time that the store's clock may
    /// have shown.
    ///
    /// A [revocation](crate::store::Store::revoke) of all sessions compares the sign-in with that
    /// time. A password may have been checked after it, and the revocation may have made that
    /// password invalid.
    #[must_use]
    pub fn began(self, earliest: Timestamp) -> Self {
        Self {
            began: Some(earliest),
            ..self
        }
    }

    /// The difference of this request's client from the one that the session knows. `None` without a
    /// difference, or if the session has seen this client before.
    ///
    /// The caller answers it with [`flag`](Self::flag) or [`terminate_for`](Self::terminate_for).
    pub fn change_of_client(&self) -> Option<ClientChange> {
        let head = &self.origin.as_ref()?.view.record.head;
        // Without a user, no authentication has named a trusted client.
        head.user.as_ref()?;
        head.device.as_ref()?.change_to(self.client.as_ref()?)
    }

    /// Records that the client changed, and applies the policy's limits of flagged sessions. Ends
    /// the elevations if `distrust`, or if the policy says so. Ends the session if it was inactive
    /// for longer than flagged sessions may be.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoRandomness`].
    pub fn flag(&mut self, distrust: bool, now: Timestamp) -> Result<(), ChangeError> {
        let (Some(change), Some(client)) = (self.change_of_client(), self.client.clone()) else {
            return Ok(());
        };
        let flagged = self.settings.policy.flagged;
        self.record(Op::Observe(client, change, flagged.idle), now)?;
        if self
            .view
            .0
            .as_ref()
            .is_some_and(|view| !view.timing.is_live(now))
        {
            // It was inactive for longer than flagged sessions may be.
            self.terminate_for(EndReason::IdleTimeout);
            return Ok(());
        }
        if distrust || flagged.elevation == FlaggedElevation::Ended {
            self.drop_elevation(now)?;
        }
        Ok(())
    }

    /// The version of the policy that has ended the request's session, if one has. The caller
    /// answers it with [`terminate_for`](Self::terminate_for).
    pub fn ended_by_policy(&self, now: Timestamp) -> Option<EndedByPolicy> {
        let view = &self.origin.as_ref()?.view;
        let judged = view.record.head.judged(view.timing);
        self.settings.policy.has_ended(&judged, now)
    }

    /// Whether the only operations are observations of the client.
    pub fn only_observes(&self) -> bool {
        self.ending.is_none()
            && !self.ops.is_empty()
            && self.ops.iter().all(|op| matches!(op, Op::Observe(..)))
    }

    /// What the handler sees now.
    pub fn view(&self) -> &SessionView {
        &self.view
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Encode`] if it cannot be encoded, [`ChangeError::TooLarge`] if the session
    /// would exceed its limit, [`ChangeError::NoRandomness`]. Nothing is changed then.
    pub fn insert<T: Serialize>(
        &mut self,
        key: &impl ValueKey<T>,
        value: &T,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let bytes = encode(key.name(), value)?;
        self.record(Op::Set(key.name().to_owned(), bytes), now)
    }

    /// Changes the value under `key`, or the default if there is none. `change` is called again if
    /// another request was faster.
    ///
    /// # Errors
    ///
    /// As [`SessionView::get`] and [`insert`](Self::insert). Nothing is changed then.
    pub fn update<T>(
        &mut self,
        key: &impl ValueKey<T>,
        mut change: impl FnMut(&mut T) + Send + 'static,
        now: Timestamp,
    ) -> Result<(), ChangeError>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        let name = key.name().to_owned();
        let rewrite = move |stored: Option<&Bytes>| {
            let mut value = match stored {
                Some(bytes) => decode(&name, bytes)?,
                None => T::default(),
            };
            change(&mut value);
            encode(&name, &value)
        };
        self.record(Op::Update(key.name().to_owned(), Box::new(rewrite)), now)
    }

    /// Removes the value under `name`. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoRandomness`].
    pub fn remove(&mut self, name: &str, now: Timestamp) -> Result<bool, ChangeError> {
        let existed = self.view.contains(name);
        if existed {
            self.record(Op::Remove(name.to_owned()), now)?;
        }
        Ok(existed)
    }

    /// Removes the value under `key` unless it is a `T`. That is decided again if another request
    /// has written in the meantime.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoRandomness`].
    pub fn remove_unreadable<T: DeserializeOwned>(
        &mut self,
        key: &impl ValueKey<T>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        if self.view.exists() {
            let is_readable = |bytes: &[u8]| value::decode::<T>(bytes).is_ok();
            let name = key.name().to_owned();
            self.record(Op::RemoveUnreadable(name, is_readable), now)?;
        }
        Ok(())
    }

    /// Removes every value. The user and the deadlines stay.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoRandomness`].
    pub fn clear(&mut self, now: Timestamp) -> Result<(), ChangeError> {
        if self.view.exists() {
            self.record(Op::Clear, now)?;
        }
        Ok(())
    }

    /// Binds the session to `user` after a full authentication: new identifier, new deadlines, no
    /// elevation. Data is kept unless the session belonged to another user.
    ///
    /// # Errors
    ///
    /// [`ChangeError::EmptyUser`], [`ChangeError::UserTooLong`], [`ChangeError::NoRandomness`].
    pub fn authenticate(&mut self, user: UserId, now: Timestamp) -> Result<(), ChangeError> {
        self.bind(user, false, now)
    }

    /// Does what [`authenticate`](Self::authenticate) does, and ends all other sessions of the user
    /// at the moment at which this one begins.
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    pub fn authenticate_and_end_others(
        &mut self,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        self.bind(user, true, now)
    }

    fn bind(&mut self, user: UserId, ends_others: bool, now: Timestamp) -> Result<(), ChangeError> {
        user.check()?;
        let bind = Op::Bind {
            user,
            handle: SessionHandle::generate()?,
            at: now,
            limits: self.settings.policy.ordinary.limits(),
            client: self.client.clone(),
            ends_others,
        };
        self.record(bind, now)
    }

    /// Makes the sign-in of this request a remembered one, with its own limits and a cookie that
    /// outlives the browser. It stays so until the next authentication or the end of the session.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoSignIn`] if no sign-in waits to be written, [`ChangeError::RememberMeOff`]
    /// if the settings allow no remembered sign-in.
    pub fn remember(&mut self, now: Timestamp) -> Result<(), ChangeError> {
        let at = self.sign_in_at("remember")?;
        let class = self.limits_of_class().remembered();
        let limits = class.ok_or(ChangeError::RememberMeOff)?;
        self.record(Op::Remember { at, limits }, now)
    }

    /// Makes the session that the sign-in of this request begins one of this class, with the limits
    /// of the class. It stays so until the next authentication.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoSignIn`] if no sign-in waits to be written, [`ChangeError::UnknownClass`]
    /// if the policy does not have the class, [`ChangeError::RememberMeOff`] if the sign-in is
    /// remembered and the class allows that to none.
    pub fn set_class(&mut self, class: Class, now: Timestamp) -> Result<(), ChangeError> {
        let at = self.sign_in_at("set_class")?;
        let found = self.settings.policy.limits(class.code());
        let found = found.ok_or(ChangeError::UnknownClass { name: class.name() })?;
        let limits = match self.view.is_remembered() {
            true => found.remembered().ok_or(ChangeError::RememberMeOff)?,
            false => found.limits(),
        };
        let timeouts = found.timeouts;
        let classify = Op::Classify {
            at,
            class: class.code(),
            limits,
            timeouts,
        };
        self.record(classify, now)
    }

    /// When the sign-in of this request took effect, for an operation that completes it.
    fn sign_in_at(&self, operation: &'static str) -> Result<Timestamp, ChangeError> {
        let sign_in = self.ops.iter().rev().find_map(Op::restarts);
        let (at, _) = sign_in.ok_or(ChangeError::NoSignIn { operation })?;
        Ok(at)
    }

    /// The idle timeout that a proof restores, if the policy caps that of flagged sessions.
    fn idle_without_flag(&self) -> Option<Duration> {
        let policy = &self.settings.policy;
        policy.flagged.idle?;
        let Some(class) = policy.limits(self.view.class()) else {
            return Some(policy.strictest().idle());
        };
        let remembered = class.remembered().filter(|_| self.view.is_remembered());
        Some(remembered.unwrap_or_else(|| class.limits()).idle)
    }

    /// The limits of the session's class.
    fn limits_of_class(&self) -> &ClassLimits {
        let policy = &self.settings.policy;
        let limits = policy.limits(self.view.class());
        limits.unwrap_or(&policy.ordinary)
    }

    /// Gives the session a new identifier. Its elevations belong to the old one, and end.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoRandomness`].
    pub fn regenerate(&mut self, now: Timestamp) -> Result<(), ChangeError> {
        if self.view.exists() {
            self.record(Op::Regenerate, now)?;
        }
        Ok(())
    }

    /// Elevates the session for `scope`. The elevation timeout starts now.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotAuthenticated`] when the session has no user.
    pub fn elevate(&mut self, scope: &str, now: Timestamp) -> Result<(), ChangeError> {
        if self.view.user().is_none() {
            return Err(ChangeError::NotAuthenticated);
        }
        // A sign-in of this request takes effect with the write, and so does an elevation after it.
        // The elevation is stored relative to the sign-in. So it ends at most the elevation timeout
        // after the write.
        let from = match self.ops.iter().rev().find_map(Op::restarts) {
            Some((signed_in_at, _)) => signed_in_at,
            None => now,
        };
        let timeouts = self.settings.policy.timeouts(self.view.class());
        let grant = Op::Grant {
            scope: scope.to_owned(),
            at: from,
            timeouts,
            idle: self.idle_without_flag(),
            client: self.client.clone(),
        };
        self.record(grant, now)
    }

    /// Records that the user proved their identity for one operation. It may be carried out once,
    /// in the next five minutes.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotAuthenticated`] when the session has no user.
    pub fn approve(&mut self, operation: Operation, now: Timestamp) -> Result<(), ChangeError> {
        if self.view.user().is_none() {
            return Err(ChangeError::NotAuthenticated);
        }
        let sign_in = self.ops.iter().rev().find_map(Op::restarts);
        let at = sign_in.map_or(now, |(signed_in_at, _)| signed_in_at);
        let approve = Op::Approve {
            operation,
            at,
            ends_at: at.after(approval::LASTS),
            idle: self.idle_without_flag(),
            client: self.client.clone(),
        };
        self.record(approve, now)
    }

    /// Uses the approval for this operation, and returns when it would have ended.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotApproved`] if there is none. If another request uses it first, the write
    /// fails with that error.
    pub fn use_approval(
        &mut self,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Timestamp, ChangeError> {
        let policy = &self.settings.policy;
        let ends_at = self.view.approved_until(&operation, policy, now);
        let ends_at = ends_at.ok_or(ChangeError::NotApproved)?;
        self.record(Op::UseApproval(operation), now)?;
        Ok(ends_at)
    }

    /// Lets the approval for an operation that failed be used again, until this time. It was used
    /// under `key`: another identifier has ended it since, and belongs perhaps to another user.
    ///
    /// # Errors
    ///
    /// None that this operation raises. The type is that of every change.
    pub fn restore_approval(
        &mut self,
        operation: Operation,
        key: SessionIdHash,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let is_same = self.key() == Some(key) && !self.ops.iter().any(Op::changes_identifier);
        if is_same && self.view.user().is_some() && now < ends_at {
            self.record(Op::RestoreApproval(operation, ends_at), now)?;
        }
        Ok(())
    }

    /// Ends every elevation and approval, and gives the session a new identifier. Returns whether
    /// one was in force.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoRandomness`].
    pub fn drop_elevation(&mut self, now: Timestamp) -> Result<bool, ChangeError> {
        let elevated = self
            .view
            .0
            .as_ref()
            .is_some_and(|view| view.has_privileges(now));
        // A sign-in of this request ends them too, but the sign-in may be dropped later.
        let elevated_before_sign_in = self.ops.authenticate()
            && self
                .origin
                .as_ref()
                .is_some_and(|origin| origin.view.has_privileges(now));
        if elevated || elevated_before_sign_in {
            self.record(Op::DropElevations, now)?;
        }
        Ok(elevated)
    }

    /// Shortens the idle timeout to at most `idle`, and lets the session end at most `left` from
    /// now. It stays so until the next authentication. Returns whether that is less than before.
    ///
    /// # Errors
    ///
    /// None that this operation raises. The type is that of every change.
    pub fn shorten(
        &mut self,
        idle: Option<Duration>,
        left: Option<Duration>,
        now: Timestamp,
    ) -> Result<bool, ChangeError> {
        let Some(View { timing, .. }) = &self.view.0 else {
            return Ok(false);
        };
        let idle = idle.map(|idle| Duration::from_millis(millis(idle)).max(SHORTEST));
        let idle = idle.filter(|idle| *idle < timing.idle_timeout);
        let ends_by = left.map(|left| now.after(left.max(SHORTEST)));
        let ends_by = ends_by.filter(|ends_by| *ends_by < timing.absolute_deadline);
        let shortens = idle.is_some() || ends_by.is_some();
        if shortens {
            self.record(Op::Shorten { idle, ends_by }, now)?;
        }
        Ok(shortens)
    }

    /// Counts the request as activity, even if it is passive. Returns whether there is a session.
    ///
    /// # Errors
    ///
    /// None that this operation raises. The type is that of every change.
    pub fn extend(&mut self, now: Timestamp) -> Result<bool, ChangeError> {
        let exists = self.view.exists();
        if exists {
            self.record(Op::Extend(now), now)?;
        }
        Ok(exists)
    }

    /// Ends the session. What this request writes afterwards starts a new one.
    pub fn terminate(&mut self) {
        self.terminate_for(EndReason::SignedOut);
    }

    /// Ends the session for this reason, such as a changed device.
    pub fn terminate_for(&mut self, reason: EndReason) {
        if let Some(origin) = self.origin.take() {
            self.ending = Some((origin, reason));
        }
        self.ends_candidates = !self.candidates.is_empty();
        self.end_refused = self.replaced && self.ending.is_none() && !self.ends_candidates;
        self.ops.clear();
        self.view = SessionView(None);
    }

    /// Drops what must not take effect if the response refuses the request: sign-ins, elevations,
    /// and every write after the first of them.
    ///
    /// Ends of the session, new identifiers and dropped elevations stay, and so do earlier writes.
    /// Returns whether there was anything to drop.
    pub fn rollback_grants(&mut self) -> bool {
        let Some((before, after)) = self.ops.split_at_grant() else {
            return false;
        };
        self.view = before;
        self.reapply_restrictive(after);
        true
    }

    /// Drops what must not take effect if the handler failed: data, sign-ins and elevations.
    ///
    /// Ends of the session, new identifiers and dropped elevations stay. Returns whether a sign-in
    /// or an elevation was dropped.
    pub fn rollback(&mut self) -> bool {
        let ops = std::mem::take(&mut self.ops);
        let granted = ops.grant();
        self.retain_only_the_end();
        self.reapply_restrictive(ops);
        granted
    }

    /// Applies those of `ops` again that only take rights away. Without a session they mean
    /// nothing.
    fn reapply_restrictive(&mut self, ops: Ops) {
        let Some(mut view) = self.view.0.clone() else {
            return;
        };
        for op in ops {
            if op.apply_if_restrictive(&mut view) {
                self.ops.push(op, &self.view);
            }
        }
        self.view = SessionView(Some(view));
    }

    /// Whether there are operations that no plan has carried out yet.
    pub fn is_dirty(&self) -> bool {
        self.ending.is_some() || self.ends_candidates || !self.ops.is_empty()
    }

    /// Whether the request came with two live sessions, of which neither counts.
    pub fn has_candidates(&self) -> bool {
        !self.candidates.is_empty()
    }

    fn record(&mut self, mut op: Op, now: Timestamp) -> Result<(), ChangeError> {
        let mut view = match &self.view.0 {
            Some(view) => view.clone(),
            None => View::fresh(&self.settings, self.client.as_ref(), now)?,
        };
        op.apply(&mut view, self.settings.payload())?;
        self.ops.push(op, &self.view);
        self.view = SessionView(Some(view));
        Ok(())
    }

    /// Takes `origin` for the stored session and applies the operations to it, or changes nothing.
    fn build_on(&mut self, origin: Origin) -> Result<(), ChangeError> {
        let view = self.seen(&origin);
        let view = self.ops.apply_to(view, self.settings.payload())?;
        self.view = SessionView(Some(view));
        self.origin = Some(origin);
        Ok(())
    }
}

impl Origin {
    /// The session as the store has it.
    ///
    /// # Errors
    ///
    /// [`Unusable`] when the payload cannot be read.
    pub fn read(key: SessionIdHash, stored: &Stored) -> Result<Self, Unusable> {
        let record = Record::decode(&stored.payload)?;
        Ok(Self {
            key,
            revision: stored.revision,
            view: View {
                timing: stored.timing,
                record: Arc::new(record),
            },
        })
    }
}

/// Why a live record cannot be used.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "every caller must handle each")]
pub enum Unusable {
    /// A newer version of Portcullis wrote it. It must stay as it is; the client may try again
    /// later.
    Newer(StoreError),
    /// It cannot be read, and grants nothing.
    Damaged,
}

impl From<Unusable> for ChangeError {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(match unusable {
            Unusable::Newer(error) => Some(error),
            Unusable::Damaged => None,
        })
    }
}

impl From<Unreadable> for Unusable {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Newer => Self::Newer(StoreError::newer_format()),
            Unreadable::Damaged => Self::Damaged,
        }
    }
}

fn encode<T: Serialize>(name: &str, value: &T) -> Result<Bytes, ChangeError> {
    value::encode(value)
        .map(Bytes::from)
        .map_err(|error| ChangeError::Encode {
            key: name.to_owned(),
            reason: error.reason(),
        })
}

#[cfg(test)]
mod tests;
