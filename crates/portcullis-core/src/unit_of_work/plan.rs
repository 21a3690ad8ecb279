//! From operations to one step of the store, and back.

use std::time::Duration;

use super::{InPlace, Op, Origin, SessionView, UnitOfWork, View};
use crate::{
    Actor, Bucket, ChangeError, EndReason, EventKind, Note, Policy, RandomSource, SessionHandle,
    SessionId, SessionIdHash, SessionMeta, Timestamp, UserId,
    store::{
        Activity, Deadline, EndOthers, Limits, NewLimits, Others, RecordWrite, ReplacedSession,
        Revision, Stored, Termination, Timing, Touch,
    },
};

/// What a request asks of the store: the sessions to end, then one step.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The sessions to end before the step, in this order: usually none or one.
    pub ends: Vec<Termination>,
    /// The step that follows.
    pub step: Step,
}

/// One operation of the store. `Debug` shows its name and nothing of what is written.
#[allow(clippy::exhaustive_enums, reason = "every caller must carry out each")]
pub enum Step {
    /// Nothing.
    Nothing,
    /// [`Store::touch`](crate::store::Store::touch).
    Touch(TouchStep),
    /// [`Store::touch`](crate::store::Store::touch), because the user asked to stay signed in.
    /// Unlike a touch that accompanies other work, its failure must be reported.
    Extend(TouchStep),
    /// [`Store::create`](crate::store::Store::create).
    Create {
        /// The new identifier.
        id: SessionId,
        /// What to store.
        write: RecordWrite,
        /// The session's limits.
        limits: Limits,
        /// What happens to the other sessions of its user.
        others: Others,
    },
    /// [`Store::commit`](crate::store::Store::commit).
    Commit {
        /// The session.
        key: SessionIdHash,
        /// The revision that it builds on.
        expected: Revision,
        /// What to store.
        write: RecordWrite,
        /// Whether it counts as activity.
        activity: Activity,
    },
    /// [`Store::replace`](crate::store::Store::replace).
    Replace {
        /// The session as it was.
        old: ReplacedSession,
        /// The new identifier.
        id: SessionId,
        /// What to store.
        write: RecordWrite,
        /// What happens to the deadlines.
        deadline: Deadline,
        /// What happens to the other sessions of its user.
        others: Others,
    },
    /// Nothing, and the request is refused. Its identifier was replaced a moment ago, and its
    /// changes belong to the session that continues under the new one.
    Refuse,
}

/// A call of [`Store::touch`](crate::store::Store::touch).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TouchStep {
    key: SessionIdHash,
    /// Its meta as it is stored.
    meta: SessionMeta,
    activity: Activity,
    /// Another idle timeout, if the policy has changed.
    idle_timeout: Option<Duration>,
}

impl TouchStep {
    /// The session.
    pub fn key(&self) -> &SessionIdHash {
        &self.key
    }

    /// The argument of the call.
    pub fn touch(&self) -> Touch<'_> {
        Touch::new(&self.key, &self.meta, self.activity).idle_timeout(self.idle_timeout)
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Touch(_) => "Touch",
            Self::Extend(_) => "Extend",
            Self::Create { .. } => "Create",
            Self::Commit { .. } => "Commit",
            Self::Replace { .. } => "Replace",
            Self::Refuse => "Refuse",
        })
    }
}

/// Whether `later` makes what `earlier` describes untrue.
fn is_undone(earlier: &EventKind, later: &EventKind) -> bool {
    match earlier {
        EventKind::Authenticated | EventKind::Regenerated | EventKind::ElevationDropped => {
            later == earlier
        }
        EventKind::Shortened => matches!(later, EventKind::Shortened | EventKind::Authenticated),
        EventKind::Elevated(scope) => match later {
            EventKind::Elevated(again) => scope == again,
            EventKind::DeviceChanged(_)
            | EventKind::Shortened
            | EventKind::OperationApproved(_)
            | EventKind::ApprovalUsed(_)
            | EventKind::ApprovalRestored(_) => false,
            _ => true,
        },
        _ => false,
    }
}

/// The step that turns `origin` into `view` under the same identifier.
pub(super) fn in_place(
    origin: &Origin,
    view: &View,
    policy: &Policy,
    (activity, extends): (Activity, bool),
    now: Timestamp,
    write: impl FnOnce(&View) -> Result<RecordWrite, ChangeError>,
) -> Result<InPlace, ChangeError> {
    let activity = match extends {
        true => activity.and(Activity::Active),
        false => activity,
    };
    let stored = Timing {
        idle_timeout: view.timing.idle_timeout,
        ..origin.view.timing
    };
    let touch_is_due = stored.touch_is_due(activity, now);
    if view.record != origin.view.record {
        // Activity is stored in the same steps as for requests that only read. So the store's
        // expiry lists change as rarely.
        let activity = match extends || touch_is_due {
            true => activity,
            false => Activity::Passive,
        };
        let view = view.clone().under(policy, activity);
        return Ok(InPlace::Commit(write(&view)?, activity));
    }
    if !extends && !touch_is_due {
        return Ok(InPlace::Nothing);
    }
    let view = view.clone().under(policy, activity);
    let idle_timeout = view.limits_since(&origin.view).idle_timeout;
    Ok(match extends {
        true => InPlace::Extend(activity, idle_timeout),
        false => InPlace::Touch(activity, idle_timeout),
    })
}

impl View {
    /// What the store has to write for this view, which `before` has become.
    pub(super) fn write(
        &self,
        meta: SessionMeta,
        absolute_deadline: Timestamp,
        before: Option<&Self>,
        notes: Vec<Note>,
    ) -> Result<RecordWrite, ChangeError> {
        Ok(RecordWrite {
            meta,
            payload: self.record.encode().map_err(|_| ChangeError::Unencodable)?,
            elevated_until: self.record.head.elevated_at_most_until(absolute_deadline),
            flagged: self.record.head.is_flagged(),
            new_limits: before
                .map(|before| self.limits_since(before))
                .unwrap_or_default(),
            notes,
        })
    }

    /// Which limits differ from those of `before`, if the session keeps its deadlines.
    pub(super) fn limits_since(&self, before: &Self) -> NewLimits {
        let (now, before) = (self.timing, before.timing);
        let (idle, absolute) = (now.idle_timeout, now.absolute_deadline);
        NewLimits {
            idle_timeout: (idle != before.idle_timeout).then_some(idle),
            absolute_deadline: (absolute < before.absolute_deadline).then_some(absolute),
            // A drop of elevations needs a new identifier.
            elevations_end: false,
        }
    }

    /// The limits with which a sign-in, or a visitor's session, is stored.
    fn limits(&self) -> Limits {
        Limits {
            idle: self.timing.idle_timeout,
            absolute: self.record.head.lifetime(),
        }
    }
}

impl UnitOfWork {
    /// The plan for the store at `now`.
    ///
    /// It depends on the arguments alone: with the same bytes from `random`, a plan can be made again. It draws
    /// only where a new identifier is needed, and is [`SystemRandom`](crate::SystemRandom) but in tests.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoRandomness`], [`ChangeError::Unencodable`].
    pub fn plan(
        &self,
        activity: Activity,
        now: Timestamp,
        random: &mut dyn RandomSource,
    ) -> Result<Plan, ChangeError> {
        Ok(Plan {
            ends: self.endings().collect(),
            step: match &self.origin {
                Some(origin) => self.step_from(origin, activity, now, random)?,
                None => self.step_from_nothing(now, random)?,
            },
        })
    }

    /// The sessions to end: the one that the handler ended, or both candidates.
    fn endings(&self) -> impl Iterator<Item = Termination> {
        let ending = self.ending.iter();
        let ending = ending.map(|(origin, reason)| (origin, *reason));
        let reason = match self.ends_candidates {
            true => Some(EndReason::SignedOut),
            false => (self.ops.authenticate()).then_some(EndReason::ReplacedAtSignIn),
        };
        let candidates = self.candidates.iter();
        let candidates = candidates.filter_map(move |origin| Some((origin, reason?)));
        ending.chain(candidates).map(|(origin, reason)| {
            let kind = EventKind::Ended(reason);
            Termination {
                key: origin.key,
                meta: origin.view.meta(),
                reason,
                note: match reason {
                    EndReason::SignedOut | EndReason::ReplacedAtSignIn => self.note(kind),
                    // No client asked for it.
                    _ => Note::new(kind, Actor::System, self.client.clone()),
                },
                live_until: Some(origin.view.timing.idle_deadline()),
                version: (reason == EndReason::PolicyTightened)
                    .then(|| self.activation_that_ended(origin))
                    .flatten(),
            }
        })
    }

    /// The version whose activation has ended this session.
    fn activation_that_ended(&self, origin: &Origin) -> Option<u64> {
        let judged = origin.view.record.head.judged(origin.view.timing);
        // A version that ends it later than now comes after the one that has ended it.
        let ended = self
            .settings
            .policy
            .has_ended(&judged, Timestamp::from_millis(u64::MAX))?;
        ended.at_activation.then_some(ended.version)
    }

    fn step_from(
        &self,
        origin: &Origin,
        activity: Activity,
        now: Timestamp,
        random: &mut dyn RandomSource,
    ) -> Result<Step, ChangeError> {
        let Some(view) = &self.view.0 else {
            return Ok(Step::Nothing);
        };
        let (extends, policy) = (self.extends(), &self.settings.policy);
        if self.ops.iter().any(Op::changes_identifier) {
            let bucket = match &view.record.head.user {
                Some(user) => Bucket::of(user),
                None => origin.key.bucket(),
            };
            let (deadline, absolute_deadline) = match self.ops.authenticate() {
                true => {
                    let limits = view.limits();
                    (Deadline::Restart(limits), now.after(limits.absolute))
                }
                false => {
                    let activity = match (self.ops.iter().any(Op::proves), extends) {
                        (true, _) => Activity::Proof,
                        (false, true) => activity.and(Activity::Active),
                        (false, false) => activity,
                    };
                    (Deadline::Keep(activity), view.timing.absolute_deadline)
                }
            };
            let view = match deadline {
                Deadline::Keep(activity) => &view.clone().under(policy, activity),
                Deadline::Restart(_) => view,
            };
            let meta = origin.view.meta();
            let becomes_another = meta.handle != view.record.head.handle;
            return Ok(Step::Replace {
                old: ReplacedSession {
                    key: origin.key,
                    meta,
                    expected: origin.revision,
                    note: becomes_another
                        .then(|| self.note(EventKind::Ended(EndReason::ReplacedAtSignIn))),
                },
                id: SessionId::draw(bucket, random)?,
                write: self.write(view, absolute_deadline)?,
                deadline,
                others: self.others(),
            });
        }
        let write = |view: &View| self.write(view, view.timing.absolute_deadline);
        let step = in_place(origin, view, policy, (activity, extends), now, write)?;
        let touch = |activity, idle_timeout| TouchStep {
            key: origin.key,
            meta: origin.view.meta(),
            activity,
            idle_timeout,
        };
        Ok(match step {
            InPlace::Nothing => Step::Nothing,
            InPlace::Touch(activity, idle_timeout) => Step::Touch(touch(activity, idle_timeout)),
            InPlace::Extend(activity, idle_timeout) => Step::Extend(touch(activity, idle_timeout)),
            InPlace::Commit(write, activity) => Step::Commit {
                key: origin.key,
                expected: origin.revision,
                write,
                activity,
            },
        })
    }

    fn step_from_nothing(
        &self,
        now: Timestamp,
        random: &mut dyn RandomSource,
    ) -> Result<Step, ChangeError> {
        if self.end_refused && !self.ops.authenticate() {
            return Ok(Step::Refuse);
        }
        let Some(view) = &self.view.0 else {
            return Ok(Step::Nothing);
        };
        let bucket = match &view.record.head.user {
            Some(user) => Bucket::of(user),
            None if view.record.data.is_empty() => return Ok(Step::Nothing),
            None if self.replaced => return Ok(Step::Refuse),
            None if self.has_candidates() && !self.ends_candidates => return Ok(Step::Refuse),
            None => Bucket::draw(random)?,
        };
        let limits = view.limits();
        Ok(Step::Create {
            id: SessionId::draw(bucket, random)?,
            write: self.write(view, now.after(limits.absolute))?,
            limits,
            others: self.others(),
        })
    }

    /// What happens to the other sessions of the user. If they are to end, a further sign-in of the
    /// same user in this request does not change that.
    fn others(&self) -> Others {
        let user = self.view.user();
        let ends_others = |op: &Op| user.is_some_and(|user| op.ends_others_of(user));
        if !self.ops.iter().any(ends_others) {
            return self.limits_of_class().session_limit.into();
        }
        let reason = EndReason::RevokedByUser;
        Others::End(EndOthers {
            reason,
            note: self.note(EventKind::Ended(reason)),
            longest: Some(self.settings.policy.longest()),
        })
    }

    /// What to write. `absolute_deadline` is that of the session after the write: a sign-in takes
    /// effect with the write, not when the handler asked for it.
    fn write(&self, view: &View, absolute_deadline: Timestamp) -> Result<RecordWrite, ChangeError> {
        let mut meta = view.meta();
        if let (Some(owner), Some(began)) = (&mut meta.owner, self.began)
            && self.ops.authenticate()
        {
            owner.authenticated_at = owner.authenticated_at.min(began);
        }
        let before = self.origin.as_ref().map(|origin| &origin.view);
        view.write(meta, absolute_deadline, before, self.notes())
    }

    /// Whether a user asked to stay signed in.
    pub(super) fn extends(&self) -> bool {
        self.ops.iter().any(Op::extends)
    }

    /// The notes that the next step leaves in the log.
    pub(super) fn notes(&self) -> Vec<Note> {
        let events = self.events().into_iter();
        events.map(|kind| self.note(kind)).collect()
    }

    /// A note of what the client of this request did.
    pub fn note(&self, kind: EventKind) -> Note {
        Note::new(kind, Actor::Client, self.client.clone())
    }

    /// The events that the next step causes, in order. Writes of data cause none, and neither does
    /// what the request itself undid.
    fn events(&self) -> Vec<EventKind> {
        let mut events = Vec::new();
        if self.origin.is_none() && self.view.user().is_none() && self.view.exists() {
            events.push(EventKind::Created);
        }
        for event in self.ops.iter().filter_map(Op::event) {
            // A sign-in already ended the elevations before it.
            if event == EventKind::ElevationDropped
                && events.contains(&EventKind::Authenticated)
                && !events
                    .iter()
                    .any(|earlier| matches!(earlier, EventKind::Elevated(_)))
            {
                continue;
            }
            events.retain(|earlier| !is_undone(earlier, &event));
            events.push(event);
        }
        events
    }

    /// Reports that an end in the plan was carried out, for the session under `key`.
    pub fn ended(&mut self, key: &SessionIdHash) {
        self.ending.take_if(|(origin, _)| origin.key == *key);
        self.candidates.retain(|origin| origin.key != *key);
        self.ends_candidates &= self.has_candidates();
        self.replaced = false;
    }

    /// Reports that the step was carried out: the handler's changes are stored under `key`.
    pub fn written(&mut self, key: SessionIdHash, timing: Timing, revision: Revision) {
        if let Some(view) = &mut self.view.0 {
            view.timing = timing;
            let view = view.clone();
            let origin = Origin {
                key,
                revision,
                view,
            };
            self.view = SessionView(Some(self.seen(&origin)));
            self.origin = Some(origin);
        }
        self.ops.clear();
        self.replaced = false;
        self.end_refused = false;
    }

    /// Reports that the handler's changes are stored as `origin`, perhaps with those of other
    /// requests.
    pub fn written_as(&mut self, origin: &Origin) {
        self.view = SessionView(Some(self.seen(origin)));
        self.origin = Some(origin.clone());
        self.ops.clear();
        self.replaced = false;
    }

    /// Reports that the session was touched, which happens only if there was nothing else to store.
    pub fn touched(&mut self, timing: Timing) {
        if let Some(origin) = &mut self.origin {
            origin.view.timing = timing;
        }
        self.retain_only_the_end();
    }

    /// Applies the operations to what another, faster request stored.
    ///
    /// # Errors
    ///
    /// What an operation raises on the new state: [`ChangeError::TooLarge`],
    /// [`ChangeError::Decode`], [`ChangeError::Encode`] or [`ChangeError::Unusable`]. Nothing is
    /// changed then. So the next step conflicts again, and does not undo what the other request
    /// wrote.
    pub fn rebase(&mut self, stored: &Stored) -> Result<(), ChangeError> {
        let Some(origin) = &self.origin else {
            return Ok(());
        };
        self.rebase_on(Origin::read(origin.key, stored)?)
    }

    /// Does what [`rebase`](Self::rebase) does, with a session that was read already.
    ///
    /// # Errors
    ///
    /// As [`rebase`](Self::rebase), but never [`ChangeError::Unusable`].
    pub fn rebase_on(&mut self, newer: Origin) -> Result<(), ChangeError> {
        // Another request from this client may have recorded it already.
        self.ops.retain(|op| !op.is_known_to(&newer.view));
        self.build_on(newer)
    }

    /// Reports that the session has ended, so that this request no longer has one. Its changes were
    /// meant for that session, so only a sign-in starts another.
    pub fn lost(&mut self) {
        self.replaced = true;
        self.end_refused = false;
        self.ending = None;
        self.candidates.clear();
        self.ends_candidates = false;
        self.origin = None;
        self.ops.clear();
        self.view = SessionView(None);
    }

    /// Drops every operation but the end of the session. The response cannot carry a cookie, or the
    /// result is what is stored.
    pub fn retain_only_the_end(&mut self) {
        self.ops.clear();
        self.view = SessionView(self.origin.as_ref().map(|origin| self.seen(origin)));
    }

    /// What the handler sees of a stored session.
    pub(super) fn seen(&self, origin: &Origin) -> View {
        let view = origin.view.clone();
        view.under(&self.settings.policy, Activity::Passive)
    }

    /// Drops every operation of which the response would have to inform the client. The end of the
    /// session stays, and so do observations of the client.
    pub fn retain_background_ops(&mut self) {
        self.ops
            .retain(|op| matches!(op, Op::Observe(..) | Op::Shorten { .. }));
        let rebuilt = match self.origin.clone() {
            Some(origin) if !self.ops.is_empty() => self.build_on(origin).is_ok(),
            _ => false,
        };
        if !rebuilt {
            self.retain_only_the_end();
        }
    }

    /// The session that the next write builds on.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The key of the session that the next write builds on.
    pub fn key(&self) -> Option<SessionIdHash> {
        self.origin.as_ref().map(|origin| origin.key)
    }

    /// The key and the meta of the session that the next write builds on.
    pub fn stored(&self) -> Option<(SessionIdHash, SessionMeta)> {
        let origin = self.origin.as_ref()?;
        Some((origin.key, origin.view.meta()))
    }

    /// Whether the handler ended the session that the request came with.
    pub fn has_ended_a_session(&self) -> bool {
        self.ending.is_some() || self.ends_candidates
    }

    /// The handle and the user of the session that is to be ended, or else of the one that the next
    /// step builds on. Both are as they are stored.
    pub fn subject(&self) -> Option<(SessionHandle, Option<&UserId>)> {
        let ending = self.ending.as_ref().map(|(origin, _)| origin);
        let candidate = self.candidates.first().filter(|_| self.ends_candidates);
        let ending = ending.or(candidate);
        let head = &ending.or(self.origin.as_ref())?.view.record.head;
        Some((head.handle, head.user.as_ref()))
    }
}
