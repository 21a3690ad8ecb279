//! A session that is used from another device.
#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use axum::http::StatusCode;
use portcullis::{
    audit::EventKind,
    client::{ClientChange, DeviceBinding},
    session::EndReason::{self, DeviceChanged},
};
use support::{DESK, PHONE, Site};

const CHANGED: EventKind = EventKind::DeviceChanged(ClientChange::Name);

#[tokio::test]
async fn s078_by_default_another_device_is_reported_once_and_no_user_is_signed_out() {
    let site = Site::new(|layer| layer);
    let alice = site.signed_in("alice", PHONE).await;
    site.events.take();
    let mut thief = alice.stolen(DESK);
    for _ in 0..2 {
        let answer = thief.get("/account").await;
        assert_eq!(
            (answer.status, answer.set_cookie),
            (StatusCode::OK, None),
            "{}",
            answer.body
        );
    }
    let events = site.events.take();
    let [event] = &*events else {
        panic!("{events:?}")
    };
    assert_eq!(event.kind, CHANGED);
    assert_eq!(
        event.client.as_ref().unwrap().to_string(),
        "Firefox on Windows"
    );
    assert!(event.user.is_some() && event.correlator.is_some());

    let flagged = site.layer.sessions().flagged().await.unwrap();
    assert_eq!(flagged.len(), 1);
    assert_eq!(flagged[0].flagged, Some(ClientChange::Name));
    assert_eq!(
        flagged[0].client.as_ref().unwrap().to_string(),
        "Safari on iPhone"
    );
}

#[tokio::test]
async fn s078_with_step_up_guards_refuse_until_the_user_proves_their_identity() {
    let site = Site::new(|layer| {
        let layer = layer.device_binding(DeviceBinding::StepUp);
        layer.reauthentication_page("/confirm").unwrap()
    });
    let mut alice = site.signed_in("alice", PHONE).await;
    alice.post("/confirm").await;
    assert_eq!(alice.get("/danger").await.status, StatusCode::OK);

    alice.agent = DESK;
    let answer = alice.get("/account").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.body.contains("elevation-required"),
        "{}",
        answer.body
    );
    // The elevation has ended, and the identifier was replaced.
    assert!(answer.set_cookie.is_some());
    assert_eq!(alice.get("/danger").await.status, StatusCode::UNAUTHORIZED);
    assert!(alice.get("/read").await.body.contains("alice"));
    // Back on the telephone, it stays flagged.
    alice.agent = PHONE;
    assert_eq!(alice.get("/account").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(alice.get("/confirm").await.status, StatusCode::OK);
    assert_eq!(alice.get("/confirm?a=b").await.status, StatusCode::OK);

    alice.agent = DESK;
    assert_eq!(alice.post("/confirm").await.status, StatusCode::OK);
    assert_eq!(alice.get("/account").await.status, StatusCode::OK);
    assert_eq!(alice.get("/danger").await.status, StatusCode::OK);
    let flagged = site.layer.sessions().flagged().await.unwrap();
    assert!(flagged.is_empty());
}

#[tokio::test]
async fn s078_with_end_the_session_is_ended_and_the_response_has_the_reason() {
    for (path, status) in [
        ("/account", StatusCode::UNAUTHORIZED),
        ("/fail", StatusCode::INTERNAL_SERVER_ERROR),
        ("/read", StatusCode::OK),
    ] {
        let site = Site::new(|layer| layer.device_binding(DeviceBinding::End));
        let mut alice = site.signed_in("alice", PHONE).await;
        site.events.take();
        let mut thief = alice.stolen(DESK);
        let answer = thief.get(path).await;
        assert_eq!(answer.status, status);
        assert!(answer.removes_the_cookie(), "{answer:?}");
        match path {
            "/account" => assert_eq!(answer.json()["reason"], "device_changed"),
            "/read" => assert_eq!(answer.body, "None Some(DeviceChanged)"),
            _ => {}
        }
        assert_eq!(site.events.kinds(), [EventKind::Ended(DeviceChanged)]);
        let answer = alice.get("/account").await;
        assert_eq!(answer.json()["reason"], "device_changed");
        assert_eq!(answer.set_cookie, None);
    }
}

#[tokio::test]
async fn a_new_sign_in_from_another_device_begins_a_session_of_its_own() {
    let site = Site::new(|layer| layer.device_binding(DeviceBinding::End));
    let mut alice = site.signed_in("alice", PHONE).await;
    alice.agent = DESK;
    assert_eq!(alice.post("/sign-in/alice").await.status, StatusCode::OK);
    assert_eq!(alice.get("/account").await.body, "alice");
    assert_eq!(site.store.live(), 1);
}

#[tokio::test]
async fn a_request_that_only_read_succeeds_even_if_the_device_change_was_not_written() {
    for binding in [DeviceBinding::Observe, DeviceBinding::StepUp] {
        let site = Site::new(|layer| layer.device_binding(binding));
        let mut alice = site.signed_in("alice", PHONE).await;
        alice.post("/confirm").await;
        alice.agent = DESK;
        let answer = alice.get("/ended-meanwhile").await;
        assert_eq!((answer.status, answer.set_cookie), (StatusCode::OK, None));
    }
}

#[tokio::test]
async fn a_write_to_a_session_that_ended_meanwhile_is_refused_with_the_reason() {
    let site = Site::new(|layer| layer);
    let mut alice = site.signed_in("alice", PHONE).await;
    site.events.take();
    let answer = alice.post("/ended-meanwhile").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["reason"], "revoked_by_operator");
    assert_eq!(answer.set_cookie, None);
    let events = site.events.take();
    assert_eq!(
        events[0].client.as_ref().unwrap().to_string(),
        "Safari on iPhone",
        "of the request in which the operator acted"
    );
    assert_eq!(events[1].kind, EventKind::WriteRefused);
    assert_eq!(events[1].session, events[0].session);
}

#[tokio::test]
async fn without_binding_nothing_is_compared() {
    let site = Site::new(|layer| layer.device_binding(None));
    let mut alice = site.signed_in("alice", PHONE).await;
    site.events.take();
    alice.agent = DESK;
    assert_eq!(alice.get("/account").await.status, StatusCode::OK);
    assert_eq!(site.events.kinds(), []);
}

#[tokio::test]
async fn an_expired_session_is_reported_once_and_the_refusal_has_the_reason() {
    let site = Site::new(|layer| layer);
    let mut alice = site.signed_in("alice", PHONE).await;
    site.events.take();
    site.clock.advance(std::time::Duration::from_secs(1800));
    for _ in 0..2 {
        let answer = alice.get("/account").await;
        assert_eq!(answer.json()["reason"], "idle_timeout");
    }
    assert_eq!(
        site.events.kinds(),
        [
            EventKind::Ended(EndReason::IdleTimeout),
            EventKind::UsedAfterEnd(EndReason::IdleTimeout)
        ]
    );
}
