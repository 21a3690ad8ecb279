//! Values whose type has changed, or that could not be read back.

use std::net::IpAddr;

use axum::{Router, routing::get};
use portcullis::{Key, Session, SessionError};
use portcullis_tests::{Backend, CapturedLog, Gate, World, on_every_store};
use serde::{Deserialize, Serialize};

on_every_store![
    a_user_continues_after_the_type_of_a_key_has_changed,
    what_another_request_stored_meanwhile_is_not_removed,
    a_value_that_can_be_read_is_not_removed,
    a_value_that_could_not_be_read_back_is_refused_and_the_session_stays_usable,
    an_address_in_a_tagged_type_comes_back,
    @one_thread:
    a_removal_is_logged_with_the_key_and_without_the_value,
];

const OLD_CART: Key<u32> = Key::new("cart");
const CART: Key<Vec<u32>> = Key::new("cart");

async fn store_old(session: Session) -> Result<(), SessionError> {
    session.insert(OLD_CART, 7)
}

async fn read(session: Session) -> Result<String, SessionError> {
    Ok(format!("{:?}", session.get(CART)?))
}

async fn add(session: Session) -> Result<(), SessionError> {
    session.update(CART, |cart| cart.push(1))
}

async fn heal(session: Session) -> Result<String, SessionError> {
    Ok(format!("{:?}", session.get_or_remove(CART)?))
}

async fn heal_and_add(session: Session) -> Result<(), SessionError> {
    session.get_or_remove(CART)?;
    session.update(CART, |cart| cart.push(2))
}

fn shop() -> Router {
    Router::new()
        .route("/old", get(store_old))
        .route("/read", get(read))
        .route("/add", get(add))
        .route("/heal", get(heal))
        .route("/heal-and-add", get(heal_and_add))
}

async fn a_user_continues_after_the_type_of_a_key_has_changed<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = world.serving(shop()).await;
    client.get("/old").await.is(200);
    client.get("/read").await.is(500);
    client.get("/add").await.is(500);
    assert_eq!(client.get("/heal").await.is(200).body(), "None");
    client.get("/add").await.is(200);
    assert_eq!(client.get("/read").await.is(200).body(), "Some([1])");
}

async fn what_another_request_stored_meanwhile_is_not_removed<B: Backend>() {
    let world = World::<B>::start().await;
    let gate = Gate::closed();
    let held = gate.clone();
    let heal_slowly = |session: Session| async move {
        let found = session.get_or_remove(CART)?;
        held.pass().await;
        Ok::<_, SessionError>(format!("{found:?}"))
    };
    let routes = shop().route("/heal-slowly", get(heal_slowly));
    let (_server, client) = world.serving(routes).await;
    client.get("/old").await.is(200);
    let slow = client.get("/heal-slowly").start();
    gate.reached().await;
    client.get("/heal-and-add").await.is(200);
    gate.open();
    assert_eq!(slow.reply().await.is(200).body(), "None");
    assert_eq!(client.get("/read").await.is(200).body(), "Some([2])");
}

async fn a_value_that_can_be_read_is_not_removed<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = world.serving(shop()).await;
    client.get("/add").await.is(200);
    assert_eq!(client.get("/heal").await.is(200).body(), "Some([1])");
    assert_eq!(client.get("/read").await.is(200).body(), "Some([1])");
}

async fn a_value_that_could_not_be_read_back_is_refused_and_the_session_stays_usable<B: Backend>() {
    let put = |session: Session| async move {
        session.insert("kept", "value")?;
        match session.insert("wide", 1_u128) {
            Err(error) => Ok(error.to_string()),
            Ok(()) => session.get::<u128>("wide").map(|wide| format!("{wide:?}")),
        }
    };
    let kept = |session: Session| async move {
        Ok::<_, SessionError>(format!(
            "{:?} {}",
            session.get::<String>("kept")?,
            session.contains("wide")
        ))
    };
    let routes = Router::new()
        .route("/put", get(put))
        .route("/kept", get(kept));
    let world = World::<B>::start().await;
    let (_server, client) = world.serving(routes).await;
    let refused = client.get("/put").await.is(200).body().to_owned();
    assert!(
        refused.contains("cannot be stored: an integer in it has 128 bits"),
        "{refused}"
    );
    assert_eq!(client.get("/kept").await.body(), "Some(\"value\") false");
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum SeenFrom {
    Address { it: IpAddr },
}

async fn an_address_in_a_tagged_type_comes_back<B: Backend>() {
    let put = |session: Session| async move {
        let it = IpAddr::from([192, 0, 2, 1]);
        session.insert("seen", SeenFrom::Address { it })
    };
    let seen = |session: Session| async move {
        Ok::<_, SessionError>(format!("{:?}", session.get::<SeenFrom>("seen")?))
    };
    let routes = Router::new()
        .route("/put", get(put))
        .route("/seen", get(seen));
    let world = World::<B>::start().await;
    let (_server, client) = world.serving(routes).await;
    client.get("/put").await.is(200);
    assert_eq!(
        client.get("/seen").await.is(200).body(),
        "Some(Address { it: 192.0.2.1 })"
    );
}

async fn a_removal_is_logged_with_the_key_and_without_the_value<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = world.serving(shop()).await;
    client.get("/old").await.is(200);
    let log = CapturedLog::start();
    for _ in 0..2 {
        client.get("/heal").await.is(200);
    }
    assert_eq!(log.count("a session value was removed"), 1);
    assert_eq!(log.count("session key \"cart\""), 1);
    assert_eq!(log.count("another type is stored"), 1);
}
