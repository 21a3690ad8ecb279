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
async fn s078_by_default_another_device_is_told_once_and_nobody_is_signed_out() {
    let site = Site::new(|layer| layer);
    let alice = site.signed_in("alice", PHONE).await;
    site.told.take();
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
    let told = site.told.take();
    let [event] = &*told else { panic!("{told:?}") };
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
async fn s078_with_step_up_guards_refuse_until_the_user_proves_who_they_are() {
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
    // The elevation is gone and the identifier with it.
    assert!(answer.set_cookie.is_some());
    assert_eq!(alice.get("/danger").await.status, StatusCode::UNAUTHORIZED);
    assert!(alice.get("/look").await.body.contains("alice"));
    // Back on the telephone it stays flagged.
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
async fn s078_with_end_the_session_is_over_and_the_answer_says_why() {
    for (path, status) in [
        ("/account", StatusCode::UNAUTHORIZED),
        ("/fail", StatusCode::INTERNAL_SERVER_ERROR),
        ("/look", StatusCode::OK),
    ] {
        let site = Site::new(|layer| layer.device_binding(DeviceBinding::End));
        let mut alice = site.signed_in("alice", PHONE).await;
        site.told.take();
        let mut thief = alice.stolen(DESK);
        let answer = thief.get(path).await;
        assert_eq!(answer.status, status);
        assert!(answer.removes_the_cookie(), "{answer:?}");
        match path {
            "/account" => assert_eq!(answer.json()["reason"], "device_changed"),
            "/look" => assert_eq!(answer.body, "None Some(DeviceChanged)"),
            _ => {}
        }
        assert_eq!(site.told.kinds(), [EventKind::Ended(DeviceChanged)]);
        let answer = alice.get("/account").await;
        assert_eq!(answer.json()["reason"], "device_changed");
        assert_eq!(answer.set_cookie, None);
    }
}

#[tokio::test]
async fn who_signs_in_anew_from_another_device_has_a_session_of_their_own() {
    let site = Site::new(|layer| layer.device_binding(DeviceBinding::End));
    let mut alice = site.signed_in("alice", PHONE).await;
    alice.agent = DESK;
    assert_eq!(alice.post("/sign-in/alice").await.status, StatusCode::OK);
    assert_eq!(alice.get("/account").await.body, "alice");
    assert_eq!(site.store.live(), 1);
}

#[tokio::test]
async fn a_request_that_only_read_passes_though_the_change_could_not_be_noted() {
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
    site.told.take();
    let answer = alice.post("/ended-meanwhile").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["reason"], "revoked_by_operator");
    assert_eq!(answer.set_cookie, None);
    let told = site.told.take();
    assert_eq!(
        told[0].client.as_ref().unwrap().to_string(),
        "Safari on iPhone",
        "of the request in which the operator acted"
    );
    assert_eq!(told[1].kind, EventKind::WriteRefused);
    assert_eq!(told[1].session, told[0].session);
}

#[tokio::test]
async fn without_binding_nothing_is_compared() {
    let site = Site::new(|layer| layer.device_binding(DeviceBinding::Off));
    let mut alice = site.signed_in("alice", PHONE).await;
    site.told.take();
    alice.agent = DESK;
    assert_eq!(alice.get("/account").await.status, StatusCode::OK);
    assert_eq!(site.told.kinds(), []);
}

#[tokio::test]
async fn an_expired_session_is_told_once_and_the_refusal_says_why() {
    let site = Site::new(|layer| layer);
    let mut alice = site.signed_in("alice", PHONE).await;
    site.told.take();
    site.clock.advance(std::time::Duration::from_secs(1800));
    for _ in 0..2 {
        let answer = alice.get("/account").await;
        assert_eq!(answer.json()["reason"], "idle_timeout");
    }
    assert_eq!(
        site.told.kinds(),
        [
            EventKind::Ended(EndReason::IdleTimeout),
            EventKind::UsedAfterEnd(EndReason::IdleTimeout)
        ]
    );
}
