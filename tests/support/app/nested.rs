//! Routes whose functions and values use the session while it is changed.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use axum::{Router, extract::Path, routing::post};
use portcullis::{Session, SessionError};
use serde::{Serialize, Serializer};

use super::{CART, DONE, Done};

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/nested/read", post(nested_read))
        .route("/nested/write", post(nested_write))
        .route("/nested/panic", post(nested_panic))
        .route("/nested/panic-later/{key}", post(nested_panic_later))
        .route("/nested/commit", post(nested_commit))
        .route("/nested/encode", post(nested_encode))
}

async fn nested_read(session: Session) -> Result<String, SessionError> {
    let (inner, (send, receive)) = (session.clone(), std::sync::mpsc::channel());
    session.update(CART, move |cart| {
        let seen = (inner.get(CART).ok(), inner.user(), inner.contains("cart"));
        cart.push(9);
        // The receiver is dropped when the change is applied once more.
        let _ = send.send(format!("{seen:?}"));
    })?;
    Ok(receive.try_recv().expect("the function ran"))
}

async fn nested_write(session: Session) -> Result<String, SessionError> {
    let (inner, (send, receive)) = (session.clone(), std::sync::mpsc::channel());
    session.update(CART, move |cart| {
        cart.push(9);
        let refused = [
            inner.insert("inner", 1),
            inner.update("inner", |n: &mut u32| *n += 1),
            inner.remove("inner").map(drop),
            inner.authenticate("mallory"),
            inner.terminate(),
        ];
        let all = refused
            .iter()
            .all(|result| matches!(result, Err(SessionError::InsideUpdate)));
        let _ = send.send(all);
    })?;
    Ok(format!(
        "all refused: {}",
        receive.try_recv().expect("the function ran")
    ))
}

async fn nested_panic(session: Session) -> Done {
    session.insert("a", "b")?;
    session.update(CART, |_| panic!("the function panics, as configured"))?;
    DONE
}

/// The function panics when it is applied to a value that another request wrote.
async fn nested_panic_later(session: Session, Path(key): Path<String>) -> Done {
    let mut first = true;
    session.update(key, move |number: &mut u64| {
        assert!(first, "the function panics later, as configured");
        first = false;
        *number += 1;
    })?;
    DONE
}

/// A value that changes the session while it is encoded.
struct Meddling(Session);

impl Serialize for Meddling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:?}", self.0.insert("inner", 1)))
    }
}

async fn nested_encode(session: Session) -> Result<String, SessionError> {
    session.insert("outer", Meddling(session.clone()))?;
    Ok(session.get("outer")?.unwrap_or_default())
}

async fn nested_commit(session: Session) -> Result<String, SessionError> {
    let (inner, (send, receive)) = (session.clone(), std::sync::mpsc::channel());
    session.update("n", move |_: &mut u32| {
        let mut commit = pin!(inner.commit());
        let polled = commit
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let _ = send.send(format!("{polled:?}"));
    })?;
    Ok(receive.recv().expect("the function ran"))
}
