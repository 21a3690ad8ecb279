//! Routes that commit, or change the session several times.

use std::{collections::BTreeMap, future::poll_fn, pin::pin, task::Poll};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query},
    http::StatusCode,
    routing::post,
};
use portcullis::{Session, SessionError};
use serde::Deserialize;

use super::values::cart;
use super::{DONE, Done};
use crate::Gates;

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/everything", post(everything))
        .route("/in-order", post(in_order))
        .route("/logout-and-put", post(logout_and_put))
        .route("/commit-between", post(commit_between))
        .route("/commit-then-fail", post(commit_then_fail))
        .route("/commit-ignored", post(commit_ignored))
        .route("/commit-only", post(commit_only))
        .route("/commit-only/ignored", post(commit_only_ignored))
        .route("/commit-beside/{gate}", post(commit_beside))
        .route("/commit-and-read/{gate}", post(commit_and_read))
        .route("/own-changes", post(own_changes))
        .route("/commit-abandoned", post(commit_abandoned))
        .route("/logout-and-commit", post(logout_and_commit))
}

/// Changes the identifier in every possible way, more than once. Then signs out if the query has
/// `logout`.
async fn everything(session: Session, Query(query): Query<BTreeMap<String, String>>) -> Done {
    for _ in 0..3 {
        session.regenerate()?;
    }
    session.authenticate("alice")?;
    session.elevate()?;
    session.drop_elevation()?;
    session.insert("a", "b")?;
    if query.contains_key("logout") {
        session.terminate()?;
    }
    DONE
}

#[derive(Deserialize)]
struct Steps {
    steps: String,
}

/// Executes the steps of the query, in order: `put:name`, `login:user`, `elevate`, …
async fn in_order(session: Session, Query(Steps { steps }): Query<Steps>) -> Done {
    for step in steps.split(',') {
        let (what, of) = step.split_once(':').unwrap_or((step, ""));
        match what {
            "put" => session.insert(of.to_owned(), "1")?,
            "count" => session.update(of.to_owned(), |number: &mut u64| *number += 1)?,
            "remove" => drop(session.remove(of)?),
            "clear" => session.clear()?,
            "login" => session.authenticate(of)?,
            "reset" => session.authenticate_and_end_others(of)?,
            "remember" => session.remember()?,
            "elevate" => session.elevate()?,
            "drop" => drop(session.drop_elevation()?),
            "regenerate" => session.regenerate()?,
            "extend" => drop(session.extend()?),
            "logout" => session.terminate()?,
            "commit" => session.commit().await?,
            other => panic!("no such step: {other}"),
        }
    }
    DONE
}

async fn logout_and_put(session: Session) -> Done {
    session.terminate()?;
    session.insert("flash", "signed out")?;
    DONE
}

async fn commit_between(session: Session) -> Done {
    session.regenerate()?;
    session.insert("before", "1")?;
    session.commit().await?;
    session.insert("after", "2")?;
    DONE
}

async fn commit_then_fail(session: Session) -> Result<StatusCode, SessionError> {
    session.insert("before", "1")?;
    session.commit().await?;
    session.insert("after", "2")?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn commit_ignored(session: Session) -> Done {
    session.insert("before", "1")?;
    // The layer handles the error.
    let _ = session.commit().await;
    session.insert("after", "2")?;
    DONE
}

async fn commit_only(session: Session) -> Done {
    session.insert("before", "1")?;
    session.commit().await?;
    DONE
}

async fn commit_only_ignored(session: Session) -> Done {
    session.insert("before", "1")?;
    let _ = session.commit().await;
    DONE
}

/// Changes the session while another task of the same request commits it.
async fn commit_beside(
    session: Session,
    Extension(gates): Extension<Gates>,
    Path(gate): Path<String>,
) -> Result<String, SessionError> {
    session.insert("before", "1")?;
    let mut commit = pin!(session.commit());
    let begun = poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await;
    let beside = session.insert("beside", "2");
    gates.named(&gate).pass().await;
    if begun.is_pending() {
        commit.await?;
    }
    Ok(format!("{beside:?}"))
}

/// Reads the cart after another change was committed.
async fn commit_and_read(
    session: Session,
    Extension(gates): Extension<Gates>,
    Path(gate): Path<String>,
) -> Result<Json<Vec<u32>>, SessionError> {
    session.insert("before", "1")?;
    let mut commit = pin!(session.commit());
    let begun = poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await;
    gates.named(&gate).pass().await;
    if begun.is_pending() {
        commit.await?;
    }
    cart(session.clone()).await
}

async fn own_changes(session: Session) -> Result<String, SessionError> {
    session.insert("a", "1")?;
    let inserted: Option<String> = session.get("a")?;
    let removed = session.remove("a")?;
    let after_removal: Option<String> = session.get("a")?;
    session.authenticate("alice")?;
    let user = session.user();
    session.elevate()?;
    let elevated = session.elevated_until().is_some();
    session.terminate()?;
    let (signed_out, info) = (session.user(), session.info().is_some());
    Ok(format!(
        "{inserted:?} {removed} {after_removal:?} {user:?} {elevated} {signed_out:?} {info}"
    ))
}

/// Starts a commit and drops it, as `select!` or a time limit does.
async fn commit_abandoned(session: Session) -> Done {
    session.regenerate()?;
    session.authenticate("bob")?;
    {
        let mut commit = pin!(session.commit());
        let _ = poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await;
    }
    DONE
}

async fn logout_and_commit(session: Session) -> Done {
    session.terminate()?;
    let _ = session.commit().await;
    DONE
}
