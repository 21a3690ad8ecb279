//! The log has every change, and nothing that was not one.

use std::collections::HashSet;

use super::{
    Harness, LONG, assert_close, key, key_in,
    people::{
        Session, any_user, arriving, at_most, begin, key_of, kind_of, name, sign_in, stranger,
    },
    short, steps,
    subject::{Subject, note, subject},
};
use crate::{
    Actor, Bucket, Client, EndReason, Event, EventKind, Note, SessionHandle, SessionIdHash,
    SessionMeta, UserId,
    store::{
        Activity, Commit, Committed, CommittedSession, Created, CreatedSession, Deadline, Ended,
        LogQuery, Logged, Observation, OnLimit, RecordWrite, Replaced, ReplacedSession,
        RevokeScope, Store, Touched,
    },
};

const KEEP: Deadline = Deadline::Keep(Activity::Active);

fn noting<S: Store>(who: &Subject<S>, kinds: impl IntoIterator<Item = EventKind>) -> RecordWrite {
    RecordWrite {
        notes: kinds.into_iter().map(note).collect(),
        ..who.write("with notes")
    }
}

fn elevated(scope: &str) -> EventKind {
    EventKind::Elevated(scope.to_owned())
}

/// S-097: with the change, in the order in which they were passed, under whatever key the session
/// is live.
pub async fn every_change_leaves_its_notes_in_order<H: Harness>(harness: &H) {
    let user = any_user();
    for (who, mut key) in [
        (arriving(harness, &user), key_of(&user)),
        (stranger(harness), key()),
    ] {
        let write = noting(&who, [EventKind::Authenticated, elevated("a")]);
        let Created::Done(CreatedSession { revision, .. }) =
            who.create_with(key, write, LONG, None).await
        else {
            panic!("the key is new");
        };
        let write = noting(&who, [elevated("b"), EventKind::Regenerated, elevated("c")]);
        let commit = who
            .0
            .commit(Commit::new(&key, revision, &write, Activity::Active))
            .await;
        let Ok(Committed::Done(CommittedSession { mut revision, .. })) = commit else {
            panic!("a commit on the current revision answered {commit:?}");
        };
        for (deadline, kind) in [
            (KEEP, elevated("d")),
            (Deadline::Restart(LONG), elevated("e")),
        ] {
            let new = key_in(key.bucket());
            let write = noting(&who, [kind]);
            let old = who.old(key, revision);
            let Replaced::Done(CreatedSession { revision: next, .. }) =
                who.replace_with(old, new, write, deadline, None).await
            else {
                panic!("a replace on the current revision is done");
            };
            (key, revision) = (new, next);
        }
        assert!(matches!(who.try_touch(key).await, Touched::Done(_)));
        assert_eq!(who.end(key, EndReason::SignedOut).await, Ended::Done);
        let expected = [
            EventKind::Authenticated,
            elevated("a"),
            elevated("b"),
            EventKind::Regenerated,
            elevated("c"),
            elevated("d"),
            elevated("e"),
            EventKind::Ended(EndReason::SignedOut),
        ];
        assert_eq!(who.logged().await, expected);
    }
}

/// S-098: actor, client and every kind of event.
pub async fn a_note_is_read_as_it_was_written<H: Harness>(harness: &H) {
    let user = any_user();
    let who = arriving(harness, &user);
    let client = Client::of_user_agent(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101");
    let notes = vec![
        Note::new(
            elevated("payments \0\r\n\u{1f511}"),
            Actor::Client,
            Some(client),
        ),
        Note::new(
            elevated(&"s".repeat(1000)),
            Actor::Operator("ops \"1\"".into()),
            None,
        ),
        Note::of_system(EventKind::UsedAfterEnd(EndReason::Displaced)),
    ];
    let write = RecordWrite {
        notes: notes.clone(),
        ..who.write("")
    };
    who.create_with(key_of(&user), write, LONG, None).await;
    let now = who.0.now();
    let query = LogQuery {
        user: Some(user.clone()),
        ..LogQuery::default()
    };
    let mut read = who.read_log(query).await;
    read.reverse();
    assert_eq!(read.len(), notes.len());
    for (logged, note) in read.into_iter().zip(notes) {
        let event = logged.event.expect("the event can be read");
        assert_close::<H>("the moment", event.at, now);
        let expected = Event::new(note, event.at, Some(who.1.handle), Some(user.clone()));
        assert_eq!(event, expected);
    }
}

/// S-097: the log has nothing that did not happen.
pub async fn a_refused_change_leaves_no_note<H: Harness>(harness: &H) {
    let user = any_user();
    let session = sign_in(harness, &user, LONG).await;
    let Session { who, key, stored } = &session;
    let outdated = stored.revision;
    who.commit(*key, outdated, "", Activity::Active).await;
    let before = who.logged().await;

    // Another write was faster.
    let answer = who.try_commit(*key, outdated, "", Activity::Active).await;
    assert!(matches!(answer, Committed::Conflict(_)));
    let other = key_of(&user);
    for deadline in [KEEP, Deadline::Restart(LONG)] {
        let old = ReplacedSession {
            note: Some(note(EventKind::Regenerated)),
            ..who.old(*key, outdated)
        };
        let answer = who
            .replace_with(old, other, who.write(""), deadline, None)
            .await;
        assert!(matches!(answer, Replaced::Conflict(_)));
    }
    // The key is taken; the user is at the limit.
    assert_eq!(who.try_create(*key, "".into(), LONG).await, Created::Taken);
    let limit = at_most(1, OnLimit::Refuse);
    let answer = who.create_with(other, who.write(""), LONG, limit).await;
    assert_eq!(answer, Created::AtLimit);
    assert_eq!(who.logged().await, before);

    // The session has ended.
    assert_eq!(who.end(*key, EndReason::SignedOut).await, Ended::Done);
    let before = who.logged().await;
    let current = stored.revision;
    assert_eq!(
        who.end(*key, EndReason::Displaced).await,
        Ended::AlreadyGone
    );
    assert_eq!(
        who.try_commit(*key, current, "", Activity::Active).await,
        Committed::Gone
    );
    let answer = who.try_replace((*key, other), current, "", KEEP).await;
    assert_eq!(answer, Replaced::Gone);
    let which = RevokeScope::One(who.1.handle);
    let reason = EndReason::RevokedByUser;
    assert_eq!(who.revoke(&user, which, reason).await, []);
    // All sessions of the user were revoked.
    harness.advance(steps::<H>(1)).await;
    assert_eq!(who.revoke(&user, RevokeScope::All, reason).await, []);
    assert_eq!(
        who.try_create(other, "".into(), LONG).await,
        Created::Revoked
    );
    assert_eq!(who.logged().await, before);
}

/// A sign-in that replaces another session is two events: the end of one, the start of the other.
pub async fn a_session_that_becomes_another_one_is_logged_under_its_old_name<H: Harness>(
    harness: &H,
) {
    let [alice, bob] = [any_user(), any_user()];
    for session in [
        begin(stranger(harness), key_of(&bob), LONG).await,
        begin(stranger(harness), key(), LONG).await,
        sign_in(harness, &alice, LONG).await,
    ] {
        let (who, new) = (arriving(harness, &bob), key_of(&bob));
        let end = EventKind::Ended(EndReason::ReplacedAtSignIn);
        let old = ReplacedSession {
            note: Some(note(end.clone())),
            ..session.who.old(session.key, session.stored.revision)
        };
        let write = noting(&who, [EventKind::Authenticated]);
        let answer = who
            .replace_with(old, new, write, Deadline::Restart(LONG), None)
            .await;
        assert!(matches!(answer, Replaced::Done(..)), "{answer:?}");
        assert_eq!(session.who.logged().await, [EventKind::Created, end]);
        assert_eq!(who.logged().await, [EventKind::Authenticated]);
    }
}

/// T04: an end that follows the session to another key is logged for the same session.
pub async fn an_end_that_follows_a_session_is_logged_for_it<H: Harness>(harness: &H) {
    let user = any_user();
    for mut session in [
        sign_in(harness, &user, LONG).await,
        begin(stranger(harness), key(), LONG).await,
    ] {
        let first = session.key;
        session.move_on(KEEP).await;
        let who = &session.who;
        assert_eq!(who.end(first, EndReason::SignedOut).await, Ended::Done);
        let reported = who.logged().await;
        let end = EventKind::Ended(EndReason::SignedOut);
        assert_eq!(reported, [EventKind::Created, EventKind::Created, end]);
    }
}

/// S-097: each end is logged with its reason.
pub async fn each_session_ended_from_outside_is_logged<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let displaced = sign_in(harness, &user, LONG).await;
    let limit = at_most(1, OnLimit::Displace);
    let (revoked, _) = arriving(harness, &user).sign_in_within(limit).await;
    let also_revoked = sign_in(harness, &user, LONG).await;
    let which = RevokeScope::One(revoked.handle());
    store.revoke(&user, which, EndReason::RevokedByUser).await;
    store
        .revoke(&user, RevokeScope::All, EndReason::RevokedByOperator)
        .await;
    for (session, reason) in [
        (displaced, EndReason::Displaced),
        (revoked, EndReason::RevokedByUser),
        (also_revoked, EndReason::RevokedByOperator),
    ] {
        let expected = [EventKind::Created, EventKind::Ended(reason)];
        assert_eq!(session.who.logged().await, expected);
    }
}

/// T75: the event has the moment of the deadline, even if it was found later, and there is one
/// event.
pub async fn an_expiry_is_in_the_log_with_the_moment_of_the_deadline<H: Harness>(harness: &H) {
    let store = subject(harness);
    let swept = sign_in(harness, &any_user(), short::<H>()).await;
    let loaded = sign_in(harness, &any_user(), short::<H>()).await;
    let nobodys = begin(stranger(harness), key(), short::<H>()).await;
    harness.advance(steps::<H>(12)).await;
    store.load(loaded.key).await;
    store.sweep().await;
    store.sweep().await;
    for session in [swept, loaded, nobodys] {
        let query = LogQuery {
            user: session.who.1.user().cloned(),
            session: Some(session.handle()),
            ..LogQuery::default()
        };
        let logged = store.read_log(query).await;
        let [found, begun] = &*logged else {
            panic!("a beginning and an end, and not {logged:?}");
        };
        assert!(begun.place < found.place);
        let deadline = session.stored.timing.idle_deadline();
        assert!(deadline < found.place.written_at);
        let note = Note::of_system(EventKind::Ended(EndReason::IdleTimeout));
        let user = session.who.1.user().cloned();
        let expected = Event::new(note, deadline, Some(session.handle()), user);
        assert_eq!(found.event, Some(expected));
    }
}

/// Writes an observation to the log.
async fn observe<S: Store>(store: &Subject<S>, meta: &SessionMeta, kind: EventKind) {
    let observation = Observation {
        session: Some(meta.handle),
        user: meta.user().cloned(),
        note: note(kind),
    };
    let answer = store.0.observe(&observation).await;
    answer.expect("an observation can be written");
}

/// S-099: about a known session, about a user alone, and about neither.
pub async fn an_observation_is_in_the_log<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let (session, operator) = (name(), Actor::Operator(name().to_string()));
    let subjects: [(Option<SessionHandle>, Option<UserId>); 4] = [
        (Some(session), Some(user.clone())),
        (None, Some(user)),
        (Some(session), None),
        (None, None),
    ];
    for (session, user) in subjects {
        let observation = Observation {
            session,
            user: user.clone(),
            note: Note::new(EventKind::RevocationRefused, operator.clone(), None),
        };
        let answer = store.0.observe(&observation).await;
        answer.expect("an observation can be written");
        let now = store.0.now();
        let query = LogQuery {
            user: user.clone(),
            session,
            ..LogQuery::default()
        };
        let read = store.read_log(query).await;
        let found = read.into_iter().filter_map(|logged| logged.event);
        let found: Vec<_> = found
            .filter(|event| {
                event.actor == operator && event.session == session && event.user == user
            })
            .collect();
        let [event] = &*found else {
            panic!("what was observed once is there {} times", found.len());
        };
        assert_close::<H>("the moment", event.at, now);
        assert_eq!(event.kind, EventKind::RevocationRefused);
    }
}

/// By name, to find one kind of event among many.
pub async fn the_log_is_read_by_the_names_of_events<H: Harness>(harness: &H) {
    let user = any_user();
    let who = arriving(harness, &user);
    for scope in ["one", "two"] {
        observe(&who, &who.1, elevated(scope)).await;
        observe(&who, &who.1, EventKind::WriteRefused).await;
    }
    for (names, expected) in [
        (vec!["session_write_refused"], 2),
        (vec!["privilege_elevated"], 2),
        (vec!["privilege_elevated", "session_write_refused"], 4),
        (vec!["privilege"], 0),
        (vec![], 4),
    ] {
        let query = LogQuery {
            user: Some(user.clone()),
            names: names.iter().copied().map(str::to_owned).collect(),
            ..LogQuery::default()
        };
        assert_eq!(who.read_log(query).await.len(), expected, "{names:?}");
    }
}

/// Newest first, and no more than the query asks for.
pub async fn the_log_is_read_newest_first_and_as_far_as_asked<H: Harness>(harness: &H) {
    let user = any_user();
    let who = arriving(harness, &user);
    for number in 0..105 {
        observe(&who, &who.1, elevated(&number.to_string())).await;
    }
    for (most, count) in [(1, 1), (7, 7), (0, 100), (105, 105), (1000, 105)] {
        let query = LogQuery {
            user: Some(user.clone()),
            most,
            ..LogQuery::default()
        };
        let read = who.read_log(query).await;
        assert!(read.is_sorted_by(|newer, older| newer.place > older.place));
        let kinds: Vec<_> = read.into_iter().map(kind_of).collect();
        let numbers = (0..105_u32).rev().take(count);
        let expected: Vec<_> = numbers
            .map(|number| elevated(&number.to_string()))
            .collect();
        assert_eq!(kinds, expected);
    }
}

/// A query without a user reads every part, however the store keeps its log.
pub async fn the_parts_of_the_log_are_read_as_one<H: Harness>(harness: &H) {
    let store = subject(harness);
    let session = name();
    let metas = [
        arriving(harness, &any_user()).1,
        arriving(harness, &any_user()).1,
        stranger(harness).1,
    ];
    let metas = metas.map(|meta| SessionMeta {
        handle: session,
        ..meta
    });
    for (number, meta) in metas.iter().cycle().take(9).enumerate() {
        observe(&store, meta, elevated(&number.to_string())).await;
        harness.advance(super::MILLI + H::TOLERANCE * 2).await;
    }
    for most in [1, 2, 5, 9, 100] {
        let query = LogQuery {
            session: Some(session),
            most,
            ..LogQuery::default()
        };
        let kinds: Vec<_> = store
            .read_log(query)
            .await
            .into_iter()
            .map(kind_of)
            .collect();
        let numbers = (0..9_u32).rev().take(most);
        let expected: Vec<_> = numbers
            .map(|number| elevated(&number.to_string()))
            .collect();
        assert_eq!(kinds, expected);
    }
}

/// By user, by session, or by both.
pub async fn the_log_is_read_by_user_and_by_session<H: Harness>(harness: &H) {
    let store = subject(harness);
    let [alice, bob] = [any_user(), any_user()];
    let metas = [
        arriving(harness, &alice).1,
        arriving(harness, &alice).1,
        arriving(harness, &bob).1,
        stranger(harness).1,
    ];
    for meta in &metas {
        observe(&store, meta, EventKind::Regenerated).await;
    }
    let [first, second, of_bob, nobodys] = metas.each_ref().map(|meta| meta.handle);
    for (user, session, expected) in [
        (Some(&alice), None, vec![second, first]),
        (Some(&alice), Some(first), vec![first]),
        (Some(&alice), Some(of_bob), vec![]),
        (None, Some(of_bob), vec![of_bob]),
        (None, Some(nobodys), vec![nobodys]),
        (Some(&bob), Some(nobodys), vec![]),
        (Some(&any_user()), None, vec![]),
    ] {
        let query = LogQuery {
            user: user.cloned(),
            session,
            ..LogQuery::default()
        };
        let read = store.read_log(query).await;
        let found = read.into_iter().filter_map(|logged| logged.event?.session);
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

/// Events at the very moments in the query are included.
pub async fn the_log_is_read_by_time<H: Harness>(harness: &H) {
    let user = any_user();
    let who = arriving(harness, &user);
    for scope in ["first", "second", "third"] {
        observe(&who, &who.1, elevated(scope)).await;
        harness.advance(steps::<H>(1)).await;
    }
    let query = LogQuery {
        user: Some(user.clone()),
        ..LogQuery::default()
    };
    let all = who.read_log(query.clone()).await;
    let moments: Vec<_> = all
        .iter()
        .filter_map(|logged| Some(logged.event.as_ref()?.at))
        .collect();
    let [third, second, first] = *moments else {
        panic!("as many as were observed, and not {all:?}");
    };
    let millis = |count| super::MILLI * count;
    for (from, to, expected) in [
        (Some(first), Some(third), vec!["third", "second", "first"]),
        (Some(second), None, vec!["third", "second"]),
        (None, Some(second), vec!["second", "first"]),
        (Some(second), Some(second), vec!["second"]),
        (
            Some(second.after(millis(1))),
            Some(third.before(millis(1))),
            vec![],
        ),
        (Some(third.after(millis(1))), None, vec![]),
        (None, Some(first.before(millis(1))), vec![]),
    ] {
        let read = who
            .read_log(LogQuery {
                from,
                to,
                ..query.clone()
            })
            .await;
        let kinds: Vec<_> = read.into_iter().map(kind_of).collect();
        let expected: Vec<_> = expected.into_iter().map(elevated).collect();
        assert_eq!(kinds, expected, "from {from:?} to {to:?}");
    }
}

/// A place belongs to one event for ever. A reader that continues from a place misses nothing and
/// reads nothing twice.
pub async fn the_places_of_the_log_are_unique_and_stay<H: Harness>(harness: &H) {
    let [here, there] = [subject(harness), subject(harness)];
    let user = any_user();
    for _ in 0..10 {
        let who = arriving(harness, &user);
        let write = noting(&who, [EventKind::Authenticated, EventKind::Regenerated]);
        who.create_with(key_of(&user), write, LONG, None).await;
    }
    let query = LogQuery {
        user: Some(user),
        ..LogQuery::default()
    };
    let read = here.read_log(query.clone()).await;
    let places: HashSet<_> = read.iter().map(|Logged { place, .. }| *place).collect();
    assert_eq!((read.len(), places.len()), (20, 20));
    assert_eq!(there.read_log(query).await, read);
}

/// More events than any part of a log holds by default.
const MANY: usize = 15_000;

/// Causes many events, each of them a change.
async fn flood<S: Store>(who: &Subject<S>, key: SessionIdHash) {
    let mut revision = who.create(key, "", LONG).await.revision;
    for _ in 0..MANY / 500 {
        let write = noting(who, vec![EventKind::Regenerated; 500]);
        let commit = who
            .0
            .commit(Commit::new(&key, revision, &write, Activity::Passive));
        let Ok(Committed::Done(CommittedSession { revision: next, .. })) = commit.await else {
            panic!("a commit on the current revision is done");
        };
        revision = next;
    }
}

/// No user can erase the history of another, even if both are in one part of the log.
pub async fn a_user_with_many_events_pushes_out_none_of_another<H: Harness>(harness: &H) {
    let victim = any_user();
    let is_beside = |user: &UserId| Bucket::of(user) == Bucket::of(&victim);
    let beside = std::iter::repeat_with(any_user).find(is_beside);
    let mallory = beside.expect("there are as many users as one likes");
    let who = arriving(harness, &victim);
    let scopes: Vec<_> = (0..20)
        .map(|number| elevated(&number.to_string()))
        .collect();
    let write = noting(&who, scopes.clone());
    who.create_with(key_of(&victim), write, LONG, None).await;
    let noise = arriving(harness, &mallory);
    flood(&noise, key_of(&mallory)).await;
    assert_eq!(who.logged().await, scopes);
    // The newest events of the others remain.
    assert!(noise.logged().await.len() >= 100);
}

/// Each session without a user has a quota.
pub async fn a_session_with_many_events_pushes_out_none_of_another<H: Harness>(harness: &H) {
    let first = key();
    let who = stranger(harness);
    let changes = vec![EventKind::Created, EventKind::Regenerated];
    let write = noting(&who, changes.clone());
    who.create_with(first, write, LONG, None).await;
    flood(&stranger(harness), key_in(first.bucket())).await;
    assert_eq!(who.logged().await, changes);
}

/// A client that repeats a refused request fills one line. The line stands where its last event is.
pub async fn equal_observations_in_a_row_are_one_line_with_a_count<H: Harness>(harness: &H) {
    for meta in [arriving(harness, &any_user()).1, stranger(harness).1] {
        let store = subject(harness);
        let other = SessionMeta {
            handle: name(),
            ..meta.clone()
        };
        let mut moments = Vec::new();
        for number in 0..12 {
            observe(&store, &meta, EventKind::WriteRefused).await;
            moments.push(store.0.now());
            if number == 0 {
                harness.advance(steps::<H>(1)).await;
            }
            // Events of others in between do not end the row.
            observe(&store, &other, EventKind::RevocationRefused).await;
        }
        for (meta, kind) in [
            (&meta, EventKind::WriteRefused),
            (&other, EventKind::RevocationRefused),
        ] {
            let query = LogQuery {
                user: meta.user().cloned(),
                session: Some(meta.handle),
                ..LogQuery::default()
            };
            let read = store.read_log(query).await;
            let [line] = &*read else {
                panic!("one line, and not {read:?}");
            };
            let event = line.event.as_ref().expect("the event can be read");
            assert_eq!((&event.kind, line.count), (&kind, 12));
            if meta.handle == other.handle {
                continue;
            }
            let [first, .., last] = &*moments else {
                panic!("there were twelve");
            };
            assert_close::<H>("the first moment", line.first_at, *first);
            assert_close::<H>("the last moment", event.at, *last);
            assert_close::<H>("the place", line.place.written_at, *last);
        }
    }
}

/// With another client, another actor or another kind, and after another event in between.
pub async fn observations_that_differ_are_lines_of_their_own<H: Harness>(harness: &H) {
    let who = arriving(harness, &any_user());
    let refused = |actor, agent: Option<&str>| {
        let client = agent.map(|agent| Client::of_user_agent(agent.as_bytes()));
        Note::new(EventKind::WriteRefused, actor, client)
    };
    let curl = || refused(Actor::Client, Some("curl/8.5.0"));
    let notes = [
        (curl(), 2),
        (refused(Actor::Client, Some("Wget/1.21")), 1),
        (refused(Actor::System, None), 3),
        (Note::of_system(EventKind::RecordDamaged), 1),
        (curl(), 1),
    ];
    let mut expected = Vec::new();
    for (note, count) in notes {
        for _ in 0..count {
            let observation = Observation {
                session: Some(who.1.handle),
                user: who.1.user().cloned(),
                note: note.clone(),
            };
            let answer = who.0.observe(&observation).await;
            answer.expect("an observation can be written");
        }
        expected.push((note, count));
    }
    let query = LogQuery {
        user: who.1.user().cloned(),
        ..LogQuery::default()
    };
    let read = who.read_log(query).await.into_iter().rev();
    let read = read.map(|line| {
        let event = line.event.expect("the event can be read");
        let note = Note::new(event.kind, event.actor, event.client);
        (note, line.count)
    });
    assert_eq!(read.collect::<Vec<_>>(), expected);
}

/// Rule 12: one change is one event. Nor is an observation merged with a change.
pub async fn changes_are_never_merged<H: Harness>(harness: &H) {
    let user = any_user();
    let (who, key) = (arriving(harness, &user), key_of(&user));
    let write = noting(&who, vec![EventKind::Regenerated; 3]);
    let Created::Done(CreatedSession { revision, .. }) =
        who.create_with(key, write, LONG, None).await
    else {
        panic!("the key is new");
    };
    for _ in 0..2 {
        observe(&who, &who.1, EventKind::Regenerated).await;
    }
    let write = noting(&who, vec![EventKind::Regenerated; 2]);
    let commit = who
        .0
        .commit(Commit::new(&key, revision, &write, Activity::Active))
        .await;
    assert!(matches!(commit, Ok(Committed::Done(..))), "{commit:?}");
    let query = LogQuery {
        user: Some(user),
        ..LogQuery::default()
    };
    let read = who.read_log(query).await;
    let counts: Vec<_> = read.iter().map(|line| line.count).collect();
    assert_eq!(counts, [1, 1, 2, 1, 1, 1]);
    let is_at_its_moment = |line: &Logged| {
        let event = line.event.as_ref();
        event.is_some_and(|event| event.at == line.first_at)
    };
    let single = read.iter().filter(|line| line.count == 1);
    assert!(single.clone().all(is_at_its_moment), "{read:?}");
}

/// Neither `from` nor `to` hides a line with an event in between.
pub async fn a_line_of_several_events_is_found_by_each_of_their_moments<H: Harness>(harness: &H) {
    let who = arriving(harness, &any_user());
    let mut moments = Vec::new();
    for _ in 0..3 {
        observe(&who, &who.1, EventKind::WriteRefused).await;
        moments.push(who.0.now());
        harness.advance(steps::<H>(1)).await;
    }
    let [first, second, third] = *moments else {
        panic!("there were three");
    };
    let step = steps::<H>(1) / 2;
    for (from, to, expected) in [
        (Some(first.before(step)), Some(first.after(step)), 1),
        (Some(second.before(step)), Some(second.after(step)), 1),
        (Some(third.before(step)), None, 1),
        (Some(third.after(step)), None, 0),
        (None, Some(first.before(step)), 0),
    ] {
        let query = LogQuery {
            user: who.1.user().cloned(),
            from,
            to,
            ..LogQuery::default()
        };
        assert_eq!(
            who.read_log(query).await.len(),
            expected,
            "from {from:?} to {to:?}"
        );
    }
}
