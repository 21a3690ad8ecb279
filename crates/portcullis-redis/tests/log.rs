//! The log: what is in it, for how long, and how it is found again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use portcullis_core::{
    Actor, EndReason, Event, EventKind, Note, SessionHandle, Timestamp, UserId,
    store::{
        Activity, Commit, Committed, CommittedSession, Create, CreatedSession, LogLimits, LogQuery,
        Logged, Observation, Others, RecordWrite, Store, StoreErrorKind,
    },
};
use portcullis_redis::{RedisStore, testing::TestServer};
use support::{
    LIMITS, anonymous, calls, create, create_owned, end_of, key, key_of, kind, lists, owned,
    payload, server_and_store, write_of,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn of_user(user: &str) -> LogQuery {
    LogQuery {
        user: Some(user.into()),
        ..LogQuery::default()
    }
}

async fn read(store: &RedisStore, query: &LogQuery) -> Vec<Logged> {
    store.read_log(query).await.unwrap()
}

async fn kinds(store: &RedisStore, query: &LogQuery) -> Vec<EventKind> {
    let logged = read(store, query).await.into_iter();
    logged.map(|logged| logged.event.unwrap().kind).collect()
}

async fn with_log(server: &TestServer, events: usize, age: Duration) -> RedisStore {
    let builder = RedisStore::builder(server.url()).wait(Duration::from_secs(5));
    let builder = builder.log(LogLimits { events, age });
    builder.connect().await.unwrap()
}

#[tokio::test]
async fn a_change_and_its_notes_are_one_step() {
    let (server, store) = support::server_and_hasty_store().await;
    let (key, meta, revision) = create_owned(&store, "alice").await;
    let write = RecordWrite {
        notes: vec![
            Note::new(EventKind::Elevated("pay".into()), Actor::Client, None),
            Note::of_system(EventKind::ElevationDropped),
        ],
        ..write_of(&meta, payload())
    };
    let log = lists(&server, "l").remove(0);
    // Sent, but nobody is there for the answer: the script is the change and the notes.
    server.pause();
    let commit = store.commit(Commit::new(&key, revision, &write, Activity::Active));
    assert_eq!(kind(commit.await), StoreErrorKind::Unavailable);
    server.resume();
    let changed = || {
        let value = server.cli(&["GETRANGE", &support::spelled(&key), "46", "53"]);
        value.text() != format!("{:08x}", revision.0)
    };
    let since = std::time::Instant::now();
    while !changed() && since.elapsed() < Duration::from_secs(1) {}
    let noted = server.cli(&["XLEN", &log]).integer();
    assert_eq!(noted, if changed() { 3 } else { 1 });
}

#[tokio::test]
async fn a_refused_change_leaves_no_note() {
    let (_server, store) = server_and_store().await;
    let (key, meta, revision) = create_owned(&store, "alice").await;
    let write = write_of(&meta, payload());
    let outdated = portcullis_core::store::Revision(revision.0 ^ 1);
    let conflict = store
        .commit(Commit::new(&key, outdated, &write, Activity::Active))
        .await;
    assert!(matches!(conflict.unwrap(), Committed::Conflict(_)));
    store
        .create(Create::new(&key, &write, LIMITS, &Others::Stay))
        .await
        .unwrap();
    assert_eq!(kinds(&store, &of_user("alice")).await, [EventKind::Created]);
    for _ in 0..2 {
        let ended = store.end(&end_of(&key, &meta, EndReason::SignedOut)).await;
        ended.unwrap();
    }
    let gone = store
        .commit(Commit::new(&key, revision, &write, Activity::Active))
        .await;
    assert_eq!(gone.unwrap(), Committed::Gone);
    assert_eq!(
        kinds(&store, &of_user("alice")).await,
        [EventKind::Ended(EndReason::SignedOut), EventKind::Created]
    );
}

#[tokio::test]
async fn the_log_is_read_by_user_session_time_and_number_newest_first() {
    let (_server, store) = server_and_store().await;
    let observe = async |user: Option<&str>, session: Option<SessionHandle>, scope: usize| {
        let kind = EventKind::Elevated(scope.to_string());
        let observation = Observation {
            session,
            user: user.map(UserId::from),
            note: Note::new(kind, Actor::Client, None),
        };
        store.observe(&observation).await.unwrap();
    };
    let (one, other) = (
        SessionHandle::from_bytes([1; 12]),
        SessionHandle::from_bytes([2; 12]),
    );
    for number in 0..10 {
        observe(Some("alice"), Some(one), number).await;
        observe(Some("bob"), Some(other), number).await;
        observe(None, Some(one), number).await;
        observe(None, None, number).await;
    }
    let everything = read(&store, &LogQuery::default()).await;
    assert_eq!(everything.len(), 40);
    let descending = |events: &[Logged]| events.is_sorted_by(|one, next| one.place > next.place);
    assert!(descending(&everything));

    let query = of_user("alice");
    let of_alice = read(&store, &query).await;
    assert_eq!(of_alice.len(), 10);
    let is_alice = |logged: &Logged| {
        let event = logged.event.as_ref().unwrap();
        event.user == Some("alice".into()) && event.session == Some(one)
    };
    assert!(of_alice.iter().all(is_alice) && descending(&of_alice));

    let of_session = LogQuery {
        session: Some(one),
        ..LogQuery::default()
    };
    assert_eq!(read(&store, &of_session).await.len(), 20);
    let both = LogQuery {
        session: Some(other),
        ..query.clone()
    };
    assert!(read(&store, &both).await.is_empty());

    let newest = LogQuery {
        most: 3,
        ..query.clone()
    };
    assert_eq!(read(&store, &newest).await, of_alice[..3]);
    let at = |number: usize| of_alice[number].event.as_ref().unwrap().at;
    let span = LogQuery {
        from: Some(at(7)),
        to: Some(at(2)),
        ..query
    };
    let expected = of_alice.iter().filter(|logged| {
        let moment = logged.event.as_ref().unwrap().at;
        at(7) <= moment && moment <= at(2)
    });
    let expected: Vec<_> = expected.cloned().collect();
    assert!(expected.len() >= 6);
    assert_eq!(read(&store, &span).await, expected);
}

#[tokio::test]
async fn what_is_asked_for_is_found_behind_thousands_of_others() {
    let server = TestServer::start();
    let store = with_log(&server, 4_000_000, DAY).await;
    let (key, meta, revision) = create_owned(&store, "alice").await;
    let log = lists(&server, "l").remove(0);
    let noise = "for i = 1, 2000 do redis.call('XADD', KEYS[1], '*', 's', '', 'u', 'other', \
                 'n', 'noise', 't', '') end";
    server.cli(&["EVAL", noise, "1", &log]);
    assert_eq!(kinds(&store, &of_user("alice")).await, [EventKind::Created]);
    let write = write_of(&meta, payload());
    let committed = store.commit(Commit::new(&key, revision, &write, Activity::Active));
    committed.await.unwrap();
    assert_eq!(read(&store, &of_user("alice")).await.len(), 2);
}

#[tokio::test]
async fn the_log_keeps_about_as_many_events_as_it_may_and_fewer_of_visitors() {
    let server = TestServer::start();
    let store = with_log(&server, 400 * 1024, DAY).await;
    let (meta, visitor) = (owned(&store, "alice"), anonymous());
    for meta in [&meta, &visitor] {
        let key = key_of("alice");
        let write = write_of(meta, payload());
        let created = store
            .create(Create::new(&key, &write, LIMITS, &Others::Stay))
            .await
            .unwrap();
        let portcullis_core::store::Created::Done(CreatedSession { mut revision, .. }) = created
        else {
            panic!("{created:?}")
        };
        for _ in 0..40 {
            let write = RecordWrite {
                notes: vec![Note::of_system(EventKind::Regenerated); 30],
                ..write.clone()
            };
            let committed = store.commit(Commit::new(&key, revision, &write, Activity::Passive));
            let Committed::Done(CommittedSession { revision: next, .. }) = committed.await.unwrap()
            else {
                panic!("not committed")
            };
            revision = next;
        }
    }
    // Trimmed once there are half as many more.
    let length = |kind| server.cli(&["XLEN", &lists(&server, kind)[0]]).integer();
    assert!((400..=600).contains(&length("l")), "{}", length("l"));
    assert!((100..=150).contains(&length("a")), "{}", length("a"));
}

const PART: &str = "pc:{1}:l";

/// As scripts leave them: notes in a part that should hold `most`, of these users in turn.
fn note(server: &TestServer, most: &str, users: &[&str], count: usize) {
    const NOTES: &str = concat!(
        include_str!("../lua/prelude.lua"),
        "for i = 1, tonumber(ARGV[2]) do
           note(KEYS[1], ARGV[1], 'ref', ARGV[3 + i % (#ARGV - 2)], 'a note of usual length, which is about eighty bytes: ' .. i)
         end"
    );
    for _ in 0..count.div_ceil(500) {
        let count = count.min(500).to_string();
        let command = [&["EVAL", NOTES, "1", PART, most, &count], users].concat();
        server.cli(&command);
    }
}

/// One event in forty is of one of seven users, the others are of bob.
fn flood(server: &TestServer, most: &str, count: usize) {
    let seven: Vec<_> = (0..7).map(|number| format!("carol {number}")).collect();
    let users: Vec<_> = seven
        .iter()
        .flat_map(|carol| [vec!["bob"; 39], vec![carol]].concat())
        .collect();
    for _ in 0..count.div_ceil(users.len()) {
        note(server, most, &users, users.len());
    }
}

/// The numbers of this user's entries.
fn numbers_of(server: &TestServer, user: &str) -> Vec<String> {
    let numbers = "local numbers = {}
        for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
          if entry[2][4] == ARGV[1] then table.insert(numbers, entry[1]) end
        end
        return numbers";
    server.cli(&["EVAL", numbers, "1", PART, user]).texts()
}

fn length_of_part(server: &TestServer) -> i64 {
    server.cli(&["XLEN", PART]).integer()
}

#[tokio::test]
async fn a_part_of_the_log_is_bounded_and_nobody_with_a_fair_share_or_less_loses_any() {
    let server = TestServer::start();
    note(&server, "100", &["alice"], 20);
    let of_alice = numbers_of(&server, "alice");
    note(&server, "100", &["bob"], 5000);
    note(&server, "100", &["dora", "carol", "bob"], 5000);
    assert_eq!(numbers_of(&server, "alice"), of_alice);
    for user in ["bob", "carol", "dora"] {
        let held = numbers_of(&server, user).len();
        assert!((26..=76).contains(&held), "{held} of {user}");
    }
    assert!((100..=150).contains(&length_of_part(&server)));
    // Where there is no room for one of each, the oldest go.
    for number in 0..300 {
        note(&server, "100", &[&number.to_string()], 1);
    }
    assert!((100..=150).contains(&length_of_part(&server)));
    assert!(numbers_of(&server, "alice").is_empty());
    assert_eq!(numbers_of(&server, "299").len(), 1);
}

/// Of the oldest that one step looks at everybody keeps a fair share.
#[tokio::test]
async fn nobody_is_pushed_out_of_a_part_of_thousands_either() {
    let server = TestServer::start();
    note(&server, "4000", &["alice"], 40);
    let of_alice = numbers_of(&server, "alice");
    flood(&server, "4000", 20_000);
    assert_eq!(numbers_of(&server, "alice"), of_alice);
    assert!((4000..=4200).contains(&length_of_part(&server)));
    // Also where everything was written anew.
    assert!(calls(&server, "del") > 0);
}

/// The server frees room by nodes, and one entry keeps its node.
#[tokio::test]
async fn what_is_taken_out_of_the_middle_of_the_log_takes_no_room() {
    let server = TestServer::start();
    note(&server, "391", &["alice"], 10);
    let of_alice = numbers_of(&server, "alice");
    let taken = (0..100).map(|_| {
        flood(&server, "391", 280);
        server.cli(&["MEMORY", "USAGE", PART]).integer()
    });
    let most = taken.max().unwrap();
    assert!(most < 400_000, "{most} bytes");
    // To free it everything is written anew, with the numbers it had.
    assert!(calls(&server, "del") > 0);
    assert_eq!(numbers_of(&server, "alice"), of_alice);
}

#[tokio::test]
async fn observations_that_merge_leave_no_room_taken_behind_them() {
    const OBSERVATIONS: &str = concat!(
        include_str!("../lua/prelude.lua"),
        "local function observe(KEYS, ARGV) ",
        include_str!("../lua/observe.lua"),
        " end
         local note = 'a note of usual length, which is about eighty bytes: '
         for i = 1, 40 do
           observe(KEYS, {'391', '', 'bob', note, '86400000'})
         end
         observe(KEYS, {'391', '', 'alice', note .. ARGV[1], '86400000'})"
    );
    let server = TestServer::start();
    let taken = (0..580).map(|number| {
        server.cli(&["EVAL", OBSERVATIONS, "1", PART, &number.to_string()]);
        server.cli(&["MEMORY", "USAGE", PART]).integer()
    });
    let most = taken.max().unwrap();
    assert!(most < 1_200_000, "{most} bytes");
    assert_eq!(length_of_part(&server), 581);
}

#[tokio::test]
async fn a_part_that_may_not_be_trimmed_is_bounded_all_the_same() {
    let server = TestServer::start();
    let denied = server.cli(&["ACL", "SETUSER", "default", "-xrange"]);
    assert_eq!(denied.text(), "OK");
    flood(&server, "391", 5000);
    assert!(
        (391..1200).contains(&length_of_part(&server)),
        "{}",
        length_of_part(&server)
    );
}

#[tokio::test]
async fn observations_that_merge_take_no_room_and_are_written_while_memory_is_full() {
    let (server, store) = server_and_store().await;
    let observation = |user: &str| Observation {
        session: None,
        user: Some(user.into()),
        note: Note::of_system(EventKind::LimitReached),
    };
    for _ in 0..500 {
        store.observe(&observation("alice")).await.unwrap();
    }
    let log = lists(&server, "l").remove(0);
    assert_eq!(server.cli(&["XLEN", &log]).integer(), 1);
    assert!(server.cli(&["MEMORY", "USAGE", &log]).integer() < 10_000);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    store.observe(&observation("alice")).await.unwrap();
    let refused = store.observe(&observation("bob")).await;
    assert_eq!(kind(refused), StoreErrorKind::Full);
    let line = read(&store, &of_user("alice")).await.remove(0);
    assert_eq!(line.count, 501);
}

#[tokio::test]
async fn a_line_of_observations_is_of_one_day_at_most() {
    let (server, store) = server_and_store().await;
    let observation = Observation {
        session: None,
        user: Some("alice".into()),
        note: Note::of_system(EventKind::LimitReached),
    };
    store.observe(&observation).await.unwrap();
    let log = lists(&server, "l").remove(0);
    let now = store.now();
    let note = observation.note.encode();
    let second = Duration::from_secs(1);
    for (began, count) in [(now.before(DAY + second), 1), (now.before(DAY - second), 8)] {
        let began = began.as_millis().to_string();
        server.cli_bytes(&[
            b"XADD",
            log.as_bytes(),
            b"*",
            b"s",
            b"",
            b"u",
            b"alice",
            b"n",
            &note,
            b"t",
            b"",
            b"c",
            b"7",
            b"f",
            began.as_bytes(),
        ]);
        store.observe(&observation).await.unwrap();
        let line = read(&store, &of_user("alice")).await.remove(0);
        assert_eq!(line.count, count);
    }
}

#[tokio::test]
async fn fields_of_a_later_version_hide_no_event() {
    let (server, store) = server_and_store().await;
    create_owned(&store, "alice").await;
    let log = lists(&server, "l").remove(0);
    let note = Note::of_system(EventKind::Regenerated).encode();
    server.cli_bytes(&[
        b"XADD",
        log.as_bytes(),
        b"*",
        b"z",
        b"new",
        b"n",
        &note,
        b"u",
        b"alice",
        b"s",
        b"",
        b"y",
        b"",
    ]);
    assert_eq!(
        kinds(&store, &of_user("alice")).await,
        [EventKind::Regenerated, EventKind::Created]
    );
}

#[tokio::test]
async fn events_that_are_too_old_go_with_a_sweep_and_others_stay() {
    let server = TestServer::start();
    let store = with_log(&server, 400_000, 90 * DAY).await;
    let (_, meta, _) = create_owned(&store, "alice").await;
    let log = lists(&server, "l").remove(0);
    server.cli(&["DEL", &log]);
    let now = store.now();
    let note = Note::of_system(EventKind::Created).encode();
    for (days, count) in [(91, 300), (89, 5)] {
        let at = now.before(days * DAY).as_millis();
        for number in 1..=count {
            let id = format!("{at}-{number}");
            let fields: [&[u8]; 8] = [
                b"s",
                meta.handle.as_bytes(),
                b"u",
                b"alice",
                b"n",
                &note,
                b"t",
                b"",
            ];
            let mut command: Vec<&[u8]> = vec![b"XADD", log.as_bytes(), id.as_bytes()];
            command.extend(fields);
            server.cli_bytes(&command);
        }
    }
    let events = |most| LogQuery {
        most,
        ..of_user("alice")
    };
    // They are not read any more, wherever they still are.
    assert_eq!(read(&store, &events(1000)).await.len(), 5);
    assert_eq!(server.cli(&["XLEN", &log]).integer(), 305);
    // A sweep looks at the logs of some buckets, anywhere.
    let since = std::time::Instant::now();
    while server.cli(&["XLEN", &log]).integer() > 5 {
        assert!(since.elapsed() < Duration::from_secs(10));
        store.sweep().await.unwrap();
    }
    let left = read(&store, &events(5)).await;
    let young = |logged: &Logged| logged.place.written_at >= now.before(90 * DAY);
    assert!(left.len() == 5 && left.iter().all(young));
}

#[tokio::test]
async fn a_note_that_cannot_be_read_is_an_event_nobody_knows_and_hides_no_other() {
    let (server, store) = server_and_store().await;
    create_owned(&store, "alice").await;
    let log = lists(&server, "l").remove(0);
    let later = Note::of_system(EventKind::Created).encode();
    let later = later
        .to_vec()
        .iter()
        .map(|byte| byte ^ 1)
        .collect::<Vec<_>>();
    for note in [&later[..], b"", b"\xff\0"] {
        server.cli_bytes(&[
            b"XADD",
            log.as_bytes(),
            b"*",
            b"s",
            b"",
            b"u",
            b"alice",
            b"n",
            note,
            b"t",
            b"",
        ]);
    }
    // Something else altogether is no event.
    server.cli(&["XADD", &log, "*", "field", "value"]);
    let read = read(&store, &of_user("alice")).await;
    assert_eq!(read.len(), 4);
    assert!(read[..3].iter().all(|logged| logged.event.is_none()));
    let Some(Event { kind, .. }) = &read[3].event else {
        panic!("hidden")
    };
    assert_eq!(*kind, EventKind::Created);
}

#[tokio::test]
async fn what_happened_before_it_was_written_is_told_with_its_moment() {
    let (server, store) = server_and_store().await;
    let (key, meta) = (key_of("alice"), owned(&store, "alice"));
    let write = write_of(&meta, payload());
    store
        .create(Create::new(&key, &write, LIMITS, &Others::Stay))
        .await
        .unwrap();
    server.age_sessions(DAY);
    store.sweep().await.unwrap();
    let event = read(&store, &of_user("alice")).await.remove(0);
    let happened = event.event.unwrap().at;
    let before = event.place.written_at.since(happened);
    let expected = DAY - LIMITS.idle;
    assert!(
        before.abs_diff(expected) < Duration::from_secs(5),
        "{before:?}"
    );
}

#[tokio::test]
async fn a_log_of_no_events_costs_nothing_and_the_changes_are_made() {
    let server = TestServer::start();
    let store = with_log(&server, 0, DAY).await;
    create_owned(&store, "alice").await;
    create(&store, &key()).await;
    let observation = Observation {
        session: None,
        user: None,
        note: Note::of_system(EventKind::MalformedIdentifier),
    };
    store.observe(&observation).await.unwrap();
    assert!(lists(&server, "l").is_empty() && lists(&server, "a").is_empty());
    assert_eq!(calls(&server, "xadd"), 0);
    assert!(read(&store, &LogQuery::default()).await.is_empty());
}

#[tokio::test]
async fn no_moment_and_no_number_is_too_large_to_ask_for() {
    let (_server, store) = server_and_store().await;
    create_owned(&store, "alice").await;
    let query = LogQuery {
        from: Some(Timestamp::from_millis(0)),
        to: Some(Timestamp::from_millis(u64::MAX)),
        most: usize::MAX,
        ..of_user("alice")
    };
    assert_eq!(read(&store, &query).await.len(), 1);
    let never = LogQuery {
        from: Some(Timestamp::from_millis(u64::MAX)),
        ..of_user("alice")
    };
    assert!(read(&store, &never).await.is_empty());
}
