//! Routes that change values of the session.

use axum::{
    Json, Router,
    extract::{Path, Query},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use portcullis::{Session, SessionError};
use serde::Deserialize;

use super::{CART, DONE, Done};

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/cart", get(cart).post(add_to_cart))
        .route("/put/{key}/{value}", post(put))
        .route("/get/{key}", get(read))
        .route("/key/{key}", delete(remove))
        .route("/clear", post(clear))
        .route("/number/{key}", get(number).post(count))
        .route("/big/{key}/{bytes}", post(big))
        .route(
            "/big/{key}/{bytes}/regenerate",
            post(big_under_another_identifier),
        )
}

pub(super) async fn cart(session: Session) -> Result<Json<Vec<u32>>, SessionError> {
    Ok(Json(session.get(CART)?.unwrap_or_default()))
}

#[derive(Deserialize)]
struct Item {
    item: u32,
}

async fn add_to_cart(session: Session, Query(Item { item }): Query<Item>) -> Done {
    session.update(CART, move |cart| cart.push(item))?;
    DONE
}

pub(super) async fn put(session: Session, Path((key, value)): Path<(String, String)>) -> Done {
    session.insert(key, value)?;
    DONE
}

async fn read(session: Session, Path(key): Path<String>) -> Result<Response, SessionError> {
    let value: Option<String> = session.get(key)?;
    Ok(value.ok_or(StatusCode::NOT_FOUND).into_response())
}

async fn remove(session: Session, Path(key): Path<String>) -> Result<String, SessionError> {
    Ok(session.remove(key)?.to_string())
}

async fn clear(session: Session) -> Done {
    session.clear()?;
    DONE
}

async fn number(session: Session, Path(key): Path<String>) -> Result<String, SessionError> {
    let number: Option<u64> = session.get(key)?;
    Ok(format!("{number:?}"))
}

async fn count(session: Session, Path(key): Path<String>) -> Done {
    session.update(key, |number: &mut u64| *number += 1)?;
    DONE
}

async fn big(session: Session, Path((key, bytes)): Path<(String, usize)>) -> Done {
    session.insert(key, "x".repeat(bytes))?;
    DONE
}

async fn big_under_another_identifier(session: Session, path: Path<(String, usize)>) -> Done {
    session.regenerate()?;
    big(session, path).await
}
