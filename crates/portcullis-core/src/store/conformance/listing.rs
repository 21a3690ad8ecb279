//! A live session with a user is in that user's list, and in no other.

use super::{
    Harness, LONG, advance_to_just_before, advance_to_the_deadline, key, moves,
    people::{Session, any_user, arriving, begin, key_of, sign_in, stranger},
    short, steps,
    subject::{join_all, subject},
};
use crate::{
    Bucket, EndReason, UserId,
    store::{
        Activity, Created, CreatedSession, Deadline, Ended, Listed, RecordWrite, Replaced, Store,
    },
};

const KEEP: Deadline = Deadline::Keep(Activity::Active);

/// From the step that creates it to the step that ends it, always in its present state.
pub async fn a_session_is_listed_from_its_beginning_to_its_end<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    store.assert_listed(&user, []).await;
    let mut session = sign_in(harness, &user, LONG).await;
    store.assert_listed(&user, [&session]).await;

    harness.advance(steps::<H>(1)).await;
    let Session { who, key, stored } = &mut session;
    *stored = who
        .commit(*key, stored.revision, "written", Activity::Passive)
        .await;
    store.assert_listed(&user, [&session]).await;

    harness.advance(steps::<H>(1)).await;
    session.stored.timing = session.who.touch(session.key).await;
    store.assert_listed(&user, [&session]).await;

    let answer = session.who.end(session.key, EndReason::SignedOut).await;
    assert_eq!(answer, Ended::Done);
    store.assert_listed(&user, []).await;
}

/// Moments, revision and payload are the present ones. Only a long payload may be cut, at its end.
pub async fn a_listed_session_is_what_a_load_finds<H: Harness>(harness: &H) {
    const LENGTHS: [usize; 5] = [
        0,
        Listed::PAYLOAD - 1,
        Listed::PAYLOAD,
        Listed::PAYLOAD + 1,
        20 * Listed::PAYLOAD,
    ];
    let (store, user) = (subject(harness), any_user());
    for length in LENGTHS {
        let mut session = sign_in(harness, &user, LONG).await;
        // Of different bytes.
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let Session { who, key, stored } = &mut session;
        *stored = who
            .commit(*key, stored.revision, payload, Activity::Passive)
            .await;
        harness.advance(steps::<H>(1)).await;
    }
    let listed = store.list(&user).await;
    assert_eq!(listed.len(), LENGTHS.len());
    for Listed { key, stored } in listed {
        let found = store.live(key).await;
        assert_eq!(stored.timing, found.timing);
        assert_eq!(stored.revision, found.revision);
        assert!(found.payload.starts_with(&stored.payload));
        assert!(stored.payload.len() >= found.payload.len().min(Listed::PAYLOAD));
    }
}

/// Even if it has not been swept.
pub async fn a_session_is_not_listed_past_its_deadline<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let staying = sign_in(harness, &user, LONG).await;
    let going = sign_in(harness, &user, short::<H>()).await;
    let timing = going.stored.timing;
    advance_to_just_before(harness, &store, timing.idle_deadline()).await;
    store.assert_listed(&user, [&staying, &going]).await;
    advance_to_the_deadline(harness).await;
    store.assert_listed(&user, [&staying]).await;
}

/// Once, even if it moves often.
pub async fn a_replaced_session_is_listed_under_its_new_key_alone<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let staying = sign_in(harness, &user, LONG).await;
    let mut moving = sign_in(harness, &user, LONG).await;
    for deadline in [KEEP, Deadline::Restart(LONG), KEEP] {
        moving.move_on(deadline).await;
        store.assert_listed(&user, [&staying, &moving]).await;
    }
}

/// S-068: so that no user is missed when the sessions of all users are ended.
pub async fn a_user_is_found_for_as_long_as_they_have_a_session<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let is_found = async || {
        let users = store.users_beside(&user).await;
        let times = users.iter().filter(|found| **found == user).count();
        assert!(times <= 1, "each once");
        times == 1
    };
    assert!(!is_found().await);
    let going = sign_in(harness, &user, short::<H>()).await;
    let mut ending = sign_in(harness, &user, LONG).await;
    assert!(is_found().await);
    ending.move_on(KEEP).await;
    let timing = going.stored.timing;
    advance_to_just_before(harness, &store, timing.idle_deadline()).await;
    advance_to_the_deadline(harness).await;
    store.sweep().await;
    assert!(is_found().await);
    let answer = ending.who.end(ending.key, EndReason::SignedOut).await;
    assert_eq!(answer, Ended::Done);
    assert!(!is_found().await);
}

/// T72: user names are any bytes.
pub async fn users_are_found_by_their_bucket<H: Harness>(harness: &H) {
    let store = subject(harness);
    let users = [any_user(), any_user(), UserId::from(&[0, 255, b'\n'][..])];
    for user in &users {
        sign_in(harness, user, LONG).await;
        begin(stranger(harness), key_of(user), LONG).await;
    }
    for user in &users {
        let found = store.users_beside(user).await;
        let expected = users
            .iter()
            .filter(|other| Bucket::of(other) == Bucket::of(user));
        for one in expected {
            assert!(found.contains(one), "{one:?} in {found:?}");
        }
    }
}

/// User names are any bytes. Pages end anywhere in a bucket.
pub async fn users_come_in_pages_each_once<H: Harness>(harness: &H) {
    let store = subject(harness);
    let first = any_user();
    let mut users = vec![first.clone(), UserId::from(&[0, 255, b'\n'][..])];
    // Some share a bucket.
    while users.len() < 6 {
        let another = any_user();
        if users.len() < 4 || Bucket::of(&another) == Bucket::of(&first) {
            users.push(another);
        }
    }
    for user in &users {
        sign_in(harness, user, LONG).await;
        sign_in(harness, user, LONG).await;
        begin(stranger(harness), key_of(user), LONG).await;
    }
    users.sort_unstable();
    // Pages that end exactly at the last user, and longer ones.
    for most in [2, 4, 6] {
        let pages = store.pages_of_users(most).await;
        let mut found = pages.concat();
        found.sort_unstable();
        assert_eq!(found, users, "pages of {most}");
        for page in &pages {
            assert!(page.len() <= most, "pages of {most}");
        }
    }
}

/// Not after its deadline, even if it has not been swept.
pub async fn a_user_is_on_a_page_while_a_session_of_theirs_is_live<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    assert!(store.pages_of_users(9).await.is_empty());
    let going = sign_in(harness, &user, short::<H>()).await;
    let mut ending = sign_in(harness, &any_user(), LONG).await;
    ending.move_on(KEEP).await;
    let timing = going.stored.timing;
    advance_to_just_before(harness, &store, timing.idle_deadline()).await;
    advance_to_the_deadline(harness).await;
    let left: Vec<_> = ending.who.1.user().cloned().into_iter().collect();
    assert_eq!(store.pages_of_users(9).await.concat(), left);
    let answer = ending.who.end(ending.key, EndReason::SignedOut).await;
    assert_eq!(answer, Ended::Done);
    assert!(store.pages_of_users(9).await.is_empty());
}

/// From the step that creates them to the step that ends them.
pub async fn live_sessions_are_counted_with_and_without_a_user<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let count = async || {
        let counted = store.count().await;
        (counted.of_users, counted.of_visitors)
    };
    let mut session = sign_in(harness, &user, LONG).await;
    sign_in(harness, &user, LONG).await;
    let visitor = begin(stranger(harness), key(), LONG).await;
    begin(stranger(harness), key_of(&user), LONG).await;
    assert_eq!(count().await, (2, 2));

    session.move_on(KEEP).await;
    session.who.touch(session.key).await;
    // The end of an elevation is in the list of a bucket as well.
    let elevated = arriving(harness, &user);
    let write = RecordWrite {
        elevated_until: Some(elevated.0.now().after(LONG.idle)),
        ..elevated.write("elevated")
    };
    let answer = elevated.create_with(key_of(&user), write, LONG, None).await;
    assert!(matches!(answer, Created::Done(..)), "{answer:?}");
    assert_eq!(count().await, (3, 2));

    let who = arriving(harness, &user);
    let old = visitor.who.old(visitor.key, visitor.stored.revision);
    let restart = Deadline::Restart(LONG);
    let answer = who
        .replace_with(old, key_of(&user), who.write("signed in"), restart, None)
        .await;
    assert!(matches!(answer, Replaced::Done(..)), "{answer:?}");
    let answer = session.who.end(session.key, EndReason::SignedOut).await;
    assert_eq!(answer, Ended::Done);
    assert_eq!(count().await, (3, 1));
}

/// The store's clock decides, not the sweep.
pub async fn expired_sessions_are_not_counted_before_they_are_swept<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let going = sign_in(harness, &user, short::<H>()).await;
    begin(stranger(harness), key_of(&user), short::<H>()).await;
    sign_in(harness, &user, LONG).await;
    let timing = going.stored.timing;
    advance_to_just_before(harness, &store, timing.idle_deadline()).await;
    advance_to_the_deadline(harness).await;
    let counted = store.count().await;
    assert_eq!((counted.of_users, counted.of_visitors), (1, 0));
}

/// T21: whether the session had no user before, or another one.
pub async fn signing_in_adds_a_session_to_the_list_of_its_user_alone<H: Harness>(harness: &H) {
    let store = subject(harness);
    let [alice, bob] = [any_user(), any_user()];
    for (old, _) in moves() {
        let anonymous = store.create(old, "", LONG).await;
        let replaced = store.old(old, anonymous.revision);
        let (who, key) = (arriving(harness, &alice), key_of(&alice));
        let answer = who
            .replace_with(
                replaced,
                key,
                who.write("of alice"),
                Deadline::Restart(LONG),
                None,
            )
            .await;
        let Replaced::Done(CreatedSession { revision, .. }) = answer else {
            panic!("a sign-in answered {answer:?}");
        };
        let listed = store.list(&alice).await;
        assert_eq!(listed.iter().map(|one| one.key).collect::<Vec<_>>(), [key]);

        let replaced = who.old(key, revision);
        let (next, key) = (arriving(harness, &bob), key_of(&bob));
        let answer = next
            .replace_with(
                replaced,
                key,
                next.write("of bob"),
                Deadline::Restart(LONG),
                None,
            )
            .await;
        assert!(matches!(answer, Replaced::Done(..)), "{answer:?}");
        store.assert_listed(&alice, []).await;
        let listed = store.list(&bob).await;
        assert_eq!(listed.iter().map(|one| one.key).collect::<Vec<_>>(), [key]);
        assert_eq!(next.end(key, EndReason::SignedOut).await, Ended::Done);
    }
}

/// T72: no bytes in a user name act as a pattern, a separator or an end of text.
pub async fn users_do_not_mix_whatever_their_names_are<H: Harness>(harness: &H) {
    let store = subject(harness);
    let unique = any_user();
    let unique = unique.as_bytes();
    let [long, almost_as_long] = [10_000, 9_999].map(|length| "x".repeat(length));
    let users: Vec<UserId> = [
        b"".as_slice(),
        b":",
        b"*",
        b"?",
        b"[a]",
        b"{",
        b"}",
        b"{}",
        b"\0",
        b"\0a",
        b"%s",
        b"\r\n",
        b"\xff\xfe",
        "\u{200b}".as_bytes(),
        "\u{feff}".as_bytes(),
        "\u{430}".as_bytes(),
        b"a",
        b"A",
        long.as_bytes(),
        almost_as_long.as_bytes(),
    ]
    .iter()
    .map(|end| UserId::from([unique, end].concat()))
    .collect();
    let mut sessions = Vec::new();
    for user in &users {
        sessions.push(sign_in(harness, user, LONG).await);
    }
    for (user, session) in users.iter().zip(&sessions) {
        store.assert_listed(user, [session]).await;
    }
    for (user, session) in users.iter().zip(&sessions) {
        let answer = session.who.end(session.key, EndReason::SignedOut).await;
        assert_eq!(answer, Ended::Done);
        store.assert_listed(user, []).await;
    }
}

/// T08: none removes another from the list.
pub async fn sessions_that_begin_at_once_are_all_listed<H: Harness>(harness: &H) {
    let user = any_user();
    let arrivals: Vec<_> = (0..20)
        .map(|_| (arriving(harness, &user), key_of(&user)))
        .collect();
    let answers = join_all(
        arrivals
            .iter()
            .map(|(who, key)| who.create_with(*key, who.write(""), LONG, None)),
    )
    .await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Created::Done(..)))
    );
    let mut keys: Vec<_> = arrivals.iter().map(|(_, key)| *key).collect();
    keys.sort_unstable();
    let listed = subject(harness).list(&user).await;
    assert_eq!(listed.iter().map(|one| one.key).collect::<Vec<_>>(), keys);
}

/// The list holds sessions with a user only.
pub async fn sessions_without_a_user_are_in_no_list<H: Harness>(harness: &H) {
    let store = subject(harness);
    let user = any_user();
    store.create(key_of(&user), "", LONG).await;
    store.create(key(), "", LONG).await;
    store.assert_listed(&user, []).await;
}
