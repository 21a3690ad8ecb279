//! Users list and end their own sessions; the limit of sessions per user.
#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use axum::http::StatusCode;
use portcullis::{
    Sessions, UserId,
    audit::{Actor, EventKind, LogQuery},
    session::{EndReason, SessionHandle},
    settings::SessionLimit,
};
use support::{DESK, PHONE, Site};

/// The handle of the session of a browser.
fn own(devices: &str) -> SessionHandle {
    let line = devices
        .lines()
        .find(|line| line.ends_with(" here"))
        .unwrap();
    SessionHandle::parse(line.split(' ').next().unwrap()).unwrap()
}

#[tokio::test]
async fn s072_users_see_their_own_sessions_and_which_is_the_current_one() {
    let site = Site::new(|layer| layer);
    let mut phone = site.signed_in("alice", PHONE).await;
    site.clock.advance(std::time::Duration::from_secs(60));
    let _desk = site.signed_in("alice", DESK).await;
    let _bob = site.signed_in("bob", DESK).await;
    let listed = phone.get("/devices").await.body;
    let ends: Vec<_> = listed.lines().map(|line| &line[17..]).collect();
    assert_eq!(ends, ["Firefox on Windows there", "Safari on iPhone here"]);
    assert_eq!(
        phone.get("/history").await.body,
        "authn_login_success authn_login_success"
    );
}

#[tokio::test]
async fn s074_s075_the_end_of_a_session_needs_a_recent_proof_and_ownership() {
    let site = Site::new(|layer| layer);
    let mut phone = site.signed_in("alice", PHONE).await;
    let mut desk = site.signed_in("alice", DESK).await;
    let mut bob = site.signed_in("bob", DESK).await;
    let of_desk = own(&desk.get("/devices").await.body);
    let of_bob = own(&bob.get("/devices").await.body);
    let path = format!("/revoke/{of_desk}");
    assert_eq!(phone.post(&path).await.status, StatusCode::UNAUTHORIZED);
    phone.post("/confirm").await;
    site.events.take();

    for handle in [of_bob, SessionHandle::from_bytes([7; 12])] {
        let answer = phone.post(&format!("/revoke/{handle}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let events = site.events.take();
        let [event] = &*events else {
            panic!("{events:?}")
        };
        assert_eq!(event.kind, EventKind::RevocationRefused);
        assert_eq!(event.user, Some(UserId::from("alice")));
        assert_eq!(event.actor, Actor::Client);
    }
    assert_eq!(bob.get("/account").await.status, StatusCode::OK);

    assert_eq!(phone.post(&path).await.status, StatusCode::NO_CONTENT);
    let events = site.events.take();
    assert_eq!(events[0].kind, EventKind::Ended(EndReason::RevokedByUser));
    assert_eq!(events[0].session, Some(of_desk));
    assert_eq!(
        events[0].client.as_ref().unwrap().to_string(),
        "Safari on iPhone"
    );
    let answer = desk.get("/account").await;
    assert_eq!(answer.json()["reason"], "revoked_by_user");

    // The refusals are in the log as well, a little later, in one entry.
    let query = LogQuery {
        user: Some(UserId::from("alice")),
        ..LogQuery::default()
    };
    let refused = || async {
        let logged = site.layer.sessions().history(query.clone()).await.unwrap();
        let refused = logged.iter().filter(|line| {
            let event = line.event.as_ref();
            event.is_some_and(|event| event.kind == EventKind::RevocationRefused)
        });
        refused.map(|line| line.count).collect::<Vec<_>>()
    };
    while refused().await != [2] {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_current_session_is_ended_with_its_cookie() {
    let site = Site::new(|layer| layer);
    let mut phone = site.signed_in("alice", PHONE).await;
    phone.post("/confirm").await;
    let handle = own(&phone.get("/devices").await.body);
    site.events.take();
    let answer = phone.post(&format!("/revoke/{handle}")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.removes_the_cookie());
    assert_eq!(
        site.events.kinds(),
        [EventKind::Ended(EndReason::SignedOut)]
    );
    assert_eq!(site.store.live(), 0);
}

#[tokio::test]
async fn s067_all_others_are_ended_and_the_current_one_continues_under_a_new_identifier() {
    let site = Site::new(|layer| layer);
    let mut phone = site.signed_in("alice", PHONE).await;
    let mut others = [
        site.signed_in("alice", DESK).await,
        site.signed_in("alice", DESK).await,
    ];
    let mut bob = site.signed_in("bob", DESK).await;
    phone.post("/confirm").await;
    let before = phone.cookie.clone();
    assert_eq!(phone.post("/revoke-others").await.body, "2");
    assert_ne!(phone.cookie, before);
    assert_eq!(phone.get("/account").await.status, StatusCode::OK);
    for other in &mut others {
        assert_eq!(other.get("/account").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(bob.get("/account").await.status, StatusCode::OK);

    phone.post("/confirm").await;
    let _third = site.signed_in("alice", DESK).await;
    let answer = phone.post("/revoke-all").await;
    assert_eq!(answer.body, "2");
    assert!(answer.removes_the_cookie());
    assert_eq!(site.store.live(), 1);
}

#[tokio::test]
async fn s070_a_sign_in_over_the_limit_displaces_the_least_recently_used() {
    let site = Site::new(|layer| layer.session_limit(SessionLimit::displace(2).unwrap()));
    let mut first = site.signed_in("alice", PHONE).await;
    site.signed_in("alice", DESK).await;
    site.events.take();
    site.signed_in("alice", DESK).await;
    let events = site.events.take();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
    assert_eq!(
        kinds,
        [
            EventKind::Authenticated,
            EventKind::Ended(EndReason::Displaced)
        ]
    );
    assert_eq!(events[1].actor, Actor::System);
    let answer = first.get("/account").await;
    assert_eq!(answer.json()["reason"], "displaced_by_limit");
}

#[tokio::test]
async fn s070_a_sign_in_over_the_limit_is_refused_and_changes_nothing() {
    let site = Site::new(|layer| layer.session_limit(SessionLimit::refuse(1).unwrap()));
    let mut first = site.signed_in("alice", PHONE).await;
    site.events.take();
    let mut stranger = site.browser(DESK);
    let mut visitor = site.browser(DESK);
    visitor.post("/write").await;
    let cookie = visitor.cookie.clone();
    site.events.take();
    for browser in [&mut stranger, &mut visitor] {
        let answer = browser.post("/sign-in/alice").await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(answer.set_cookie, None);
        assert!(answer.body.contains("session-limit-reached"));
        let events = site.events.take();
        let [event] = &*events else {
            panic!("{events:?}")
        };
        assert_eq!(event.kind, EventKind::LimitReached);
        assert_eq!(event.user, Some(UserId::from("alice")));
    }
    assert_eq!(visitor.cookie, cookie);
    assert_eq!(visitor.post("/write").await.status, StatusCode::OK);
    assert_eq!(first.get("/account").await.status, StatusCode::OK);
    // A second sign-in of the same session is not one more session.
    assert_eq!(first.post("/sign-in/alice").await.status, StatusCode::OK);
}

#[tokio::test]
async fn s070_a_handler_may_end_the_oldest_session_but_not_ignore_the_limit() {
    let site = Site::new(|layer| layer.session_limit(SessionLimit::refuse(1).unwrap()));
    let mut first = site.signed_in("alice", PHONE).await;
    let mut second = site.browser(DESK);
    let answer = second.post("/sign-in-and-ignore/alice").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(first.get("/account").await.status, StatusCode::OK);
    let answer = second.post("/sign-in-for-the-oldest/alice").await;
    assert_eq!(answer.body, "the oldest was ended");
    assert_eq!(second.get("/account").await.body, "alice");
    assert_eq!(first.get("/account").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_sign_in_that_was_under_way_when_all_sessions_were_revoked_is_refused() {
    let site = Site::new(|layer| layer);
    for visited_before in [false, true] {
        let mut browser = site.browser(PHONE);
        if visited_before {
            browser.post("/write").await;
        }
        site.events.take();
        let answer = browser.post("/sign-in-while-revoked/alice").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
        assert_eq!(answer.set_cookie, None);
        assert_eq!(site.events.kinds(), [EventKind::WriteRefused]);
    }
}

#[tokio::test]
async fn s068_an_operator_ends_sessions_in_their_own_name() {
    let site = Site::new(|layer| layer);
    let mut alice = site.signed_in("alice", PHONE).await;
    site.signed_in("alice", DESK).await;
    let audit = support::RecordedEvents::default();
    let sessions = Sessions::new(site.store.clone())
        .audit(audit.clone())
        .as_operator("carol");
    let listed = sessions.list("alice").await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|entry| !entry.current));
    let receipt = sessions.revoke("bob", listed[0].info.handle).await.unwrap();
    assert_eq!(receipt.ended, []);
    let kept = listed[0].info.handle;
    let receipt = sessions.revoke_others("alice", kept).await.unwrap();
    assert_eq!(receipt.ended, [listed[1].info.handle]);
    let receipt = sessions.revoke_all("alice").await.unwrap();
    assert_eq!(receipt.ended, [kept]);
    for event in audit.take() {
        assert_eq!(event.kind, EventKind::Ended(EndReason::RevokedByOperator));
        assert_eq!(event.actor, Actor::Operator("carol".into()));
        assert!(event.correlator.is_some());
    }
    let answer = alice.get("/account").await;
    assert_eq!(answer.json()["reason"], "revoked_by_operator");
    assert_eq!(answer.set_cookie, None);
}

#[tokio::test]
async fn s105_a_manual_sweep_reports_sessions_without_further_requests() {
    let site = Site::new(|layer| layer.sweeping(false));
    site.signed_in("alice", PHONE).await;
    site.events.take();
    site.clock.advance(std::time::Duration::from_secs(3600));
    let sessions = site.layer.sessions();
    assert_eq!(sessions.sweep().await.unwrap(), 1);
    assert_eq!(sessions.sweep().await.unwrap(), 0);
    let events = site.events.take();
    assert_eq!(events[0].kind, EventKind::Ended(EndReason::IdleTimeout));
    assert_eq!(events[0].actor, Actor::System);
}
