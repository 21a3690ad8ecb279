//! What somebody asks of a store, and what they know afterwards.

use bytes::Bytes;
use portcullis_core::{
    Actor, Bucket, EndReason, EventKind, Note, SessionId, SessionIdHash, SessionMeta, UserId,
    store::{
        Activity, Commit, Committed, CommittedSession, Create, Created, CreatedSession, Deadline,
        EndOthers, Ended, Interrupted, NewLimits, Others, RecordWrite, Replace, Replaced,
        ReplacedSession, RevokeScope, SessionLimit, Store, Touch, Touched,
    },
};
use portcullis_redis::RedisStore;
use rand::random;

use crate::{
    ledger::{Fate, Ledger},
    support::{LIMITS, end_of, ended_note, key_of, later, owned, revocation},
};

/// Sessions are called by their place in the ledger.
#[derive(Debug, Clone)]
pub enum Task {
    /// Somebody signs in: as nobody they know, or from a session.
    SignIn {
        user: UserId,
        from: Option<usize>,
        others: Others,
    },
    /// A session gets another identifier, and an elevation if it has a user.
    Rotate {
        of: usize,
        to: Bucket,
    },
    Commit {
        of: usize,
    },
    Touch {
        of: usize,
    },
    SignOut {
        of: usize,
    },
    Revoke {
        user: UserId,
        which: RevokeScope,
    },
    Sweep,
}

/// What the call returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    Done,
    /// It is not to be, and nothing was changed.
    Refused,
    Error,
}

pub fn displacing() -> Others {
    Others::Limited(SessionLimit::displace(1).unwrap())
}

pub fn refusing() -> Others {
    Others::Limited(SessionLimit::refuse(1).unwrap())
}

pub fn ending_others() -> Others {
    let reason = EndReason::RevokedByUser;
    Others::End(EndOthers {
        reason,
        note: ended_note(reason),
        longest: Some(LIMITS.absolute),
    })
}

fn payload() -> Bytes {
    Bytes::copy_from_slice(&random::<[u8; 8]>())
}

fn write(meta: &SessionMeta, payload: &Bytes, kind: Option<EventKind>) -> RecordWrite {
    let note = |kind| Note::new(kind, Actor::Client, None);
    RecordWrite {
        meta: meta.clone(),
        payload: payload.clone(),
        elevated_until: None,
        flagged: false,
        new_limits: NewLimits::default(),
        notes: kind.map(note).into_iter().collect(),
    }
}

impl Task {
    /// Whether it gives somebody something, and so must not be carried out once they have given up.
    pub fn grants(&self) -> bool {
        matches!(
            self,
            Self::SignIn { .. } | Self::Rotate { .. } | Self::Commit { .. }
        )
    }

    /// Whether it ends sessions of a user up to a moment.
    pub fn revokes(&self) -> Option<&UserId> {
        match self {
            Self::Revoke { user, .. } => Some(user),
            Self::SignIn {
                user,
                others: Others::End(_),
                ..
            } => Some(user),
            _ => None,
        }
    }

    pub async fn run(&self, store: &RedisStore, ledger: &mut Ledger) -> CallResult {
        match self {
            Self::SignIn { user, from, others } => {
                sign_in(store, ledger, user, *from, others).await
            }
            Self::Rotate { of, to } => rotate(store, ledger, *of, *to).await,
            Self::Commit { of } => commit(store, ledger, *of).await,
            Self::Touch { of } => {
                let session = ledger.sessions[*of].clone();
                match store
                    .touch(Touch::new(&session.key, &session.meta, Activity::Active))
                    .await
                {
                    Ok(Touched::Done(_)) => CallResult::Done,
                    Ok(Touched::Gone) => refused(ledger, *of),
                    Err(_) => CallResult::Error,
                }
            }
            Self::SignOut { of } => {
                let session = &mut ledger.sessions[*of];
                let reason = EndReason::SignedOut;
                let end = end_of(&session.key, &session.meta, reason);
                match store.end(&end).await {
                    Ok(Ended::Done | Ended::AlreadyGone) => {
                        session.fate = Fate::Dead;
                        CallResult::Done
                    }
                    Err(_) => {
                        doubt(&mut session.fate);
                        CallResult::Error
                    }
                }
            }
            Self::Revoke { user, which } => {
                let revoked = store.revoke(&revocation(user.clone(), *which)).await;
                let (ended, reported, fate) = match revoked {
                    Ok(receipt) => (receipt.ended, CallResult::Done, Fate::Dead),
                    Err(interrupted) => (interrupted.ended, CallResult::Error, Fate::Unknown),
                };
                for session in ledger.of(user) {
                    if which.covers(session.meta.handle) {
                        session.fate = fate;
                    }
                }
                ended.into_iter().for_each(|handle| ledger.is_dead(handle));
                reported
            }
            Self::Sweep => match store.sweep().await {
                Ok(_) => CallResult::Done,
                Err(_) => CallResult::Error,
            },
        }
    }
}

fn doubt(fate: &mut Fate) {
    if *fate == Fate::Lives {
        *fate = Fate::Unknown;
    }
}

/// The session is not what it was. That may be where it was in doubt.
fn refused(ledger: &mut Ledger, of: usize) -> CallResult {
    let session = &mut ledger.sessions[of];
    assert_ne!(session.fate, Fate::Lives, "{session:?} was refused");
    session.fate = Fate::Unknown;
    CallResult::Refused
}

async fn sign_in(
    store: &RedisStore,
    ledger: &mut Ledger,
    user: &UserId,
    from: Option<usize>,
    others: &Others,
) -> CallResult {
    // What was revoked before does not concern it, by whatever is known of the clock.
    later(store).await;
    let (key, meta, payload) = (key_of(user.clone()), owned(store, user.clone()), payload());
    let write = write(&meta, &payload, Some(EventKind::Created));
    let before: Vec<_> = ledger
        .of(user)
        .map(|it| (it.meta.handle, it.fate))
        .collect();
    let old = from.map(|from| ledger.sessions[from].clone());
    let new = ledger.add(key, &meta, Fate::Dead);
    let done = match &old {
        None => match store
            .create(Create::new(&key, &write, LIMITS, others))
            .await
        {
            Ok(Created::Done(CreatedSession {
                revision,
                displaced,
                ..
            })) => Ok(Some((revision, displaced))),
            Ok(Created::AtLimit) => Ok(None),
            Ok(other) => panic!("{other:?}"),
            Err(interrupted) => Err(interrupted),
        },
        Some(session) => {
            let old = ReplacedSession {
                key: session.key,
                meta: session.meta.clone(),
                expected: session.revision,
                note: Some(ended_note(EndReason::ReplacedAtSignIn)),
            };
            let restart = Deadline::Restart(LIMITS);
            match store
                .replace(Replace::new(&old, &key, &write, restart, others))
                .await
            {
                Ok(Replaced::Done(CreatedSession {
                    revision,
                    displaced,
                    ..
                })) => Ok(Some((revision, displaced))),
                Ok(Replaced::AtLimit) => Ok(None),
                Ok(Replaced::Overtaken(displaced)) => {
                    displaced.into_iter().for_each(|it| ledger.is_dead(it));
                    return refused(ledger, from.unwrap());
                }
                Ok(_) => return refused(ledger, from.unwrap()),
                Err(interrupted) => Err(interrupted),
            }
        }
    };
    let replaced = old.map(|it| it.meta.handle);
    match done {
        Ok(Some((revision, displaced))) => {
            if let Some(from) = from {
                ledger.sessions[from].fate = Fate::Dead;
            }
            match others {
                Others::Stay => assert_eq!(displaced, []),
                Others::Limited(limit) => {
                    let left = before.iter().filter(|(handle, fate)| {
                        *fate == Fate::Lives
                            && Some(*handle) != replaced
                            && !displaced.contains(handle)
                    });
                    assert!(left.count() < limit.most.get(), "{displaced:?}");
                }
                Others::End(_) => ledger.of(user).for_each(|it| it.fate = Fate::Dead),
            }
            displaced.into_iter().for_each(|it| ledger.is_dead(it));
            let session = &mut ledger.sessions[new];
            session.fate = Fate::Lives;
            (session.revision, session.payloads) = (revision, vec![payload]);
            CallResult::Done
        }
        Ok(None) => {
            let at_limit = before.iter().any(|(handle, _)| Some(*handle) != replaced);
            assert!(at_limit, "{user} has no session and was refused one");
            CallResult::Refused
        }
        Err(Interrupted { ended, .. }) => {
            if let Some(from) = from {
                doubt(&mut ledger.sessions[from].fate);
            }
            if *others != Others::Stay {
                ledger.of(user).for_each(|it| doubt(&mut it.fate));
            }
            ended.into_iter().for_each(|it| ledger.is_dead(it));
            ledger.sessions[new].failed = true;
            CallResult::Error
        }
    }
}

async fn rotate(store: &RedisStore, ledger: &mut Ledger, of: usize, to: Bucket) -> CallResult {
    let session = ledger.sessions[of].clone();
    let key: SessionIdHash = SessionId::generate(to).unwrap().key();
    let new = ledger.add(key, &session.meta, Fate::Dead);
    let old = ReplacedSession {
        key: session.key,
        meta: session.meta.clone(),
        expected: session.revision,
        note: None,
    };
    let payload = payload();
    let write = RecordWrite {
        elevated_until: session
            .meta
            .user()
            .map(|_| store.now().after(LIMITS.idle / 2)),
        ..write(&session.meta, &payload, Some(EventKind::Regenerated))
    };
    let keep = Deadline::Keep(Activity::Active);
    match store
        .replace(Replace::new(&old, &key, &write, keep, &Others::Stay))
        .await
    {
        Ok(Replaced::Done(CreatedSession { revision, .. })) => {
            ledger.sessions[of].fate = Fate::Dead;
            let session = &mut ledger.sessions[new];
            session.fate = Fate::Lives;
            (session.revision, session.payloads) = (revision, vec![payload]);
            CallResult::Done
        }
        Ok(_) => refused(ledger, of),
        Err(_) => {
            doubt(&mut ledger.sessions[of].fate);
            CallResult::Error
        }
    }
}

async fn commit(store: &RedisStore, ledger: &mut Ledger, of: usize) -> CallResult {
    let session = ledger.sessions[of].clone();
    let payload = payload();
    let write = write(&session.meta, &payload, None);
    let active = Activity::Active;
    let done = store.commit(Commit::new(&session.key, session.revision, &write, active));
    match done.await {
        Ok(Committed::Done(CommittedSession { revision, .. })) => {
            let session = &mut ledger.sessions[of];
            (session.revision, session.payloads) = (revision, vec![payload]);
            CallResult::Done
        }
        Ok(_) => refused(ledger, of),
        Err(_) => {
            ledger.sessions[of].payloads.push(payload);
            CallResult::Error
        }
    }
}
