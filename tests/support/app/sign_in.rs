//! Routes that sign in and out, reset passwords and change the identifier.

use std::time::Duration;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query},
    routing::post,
};
use portcullis::{Session, SessionError, Sessions, settings::Class};
use serde::Deserialize;

use super::{ADMIN, DONE, Done, UNDECLARED};

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/login", post(login))
        .route("/login-bytes", post(login_bytes))
        .route("/login-as/{class}", post(login_as))
        .route("/login-asking", post(login_asking))
        .route("/login-shortened", post(login_shortened))
        .route("/shorten", post(shorten))
        .route("/reset", post(reset_password))
        .route("/reset/bytes", post(reset_password_of_bytes))
        .route("/reset/in-two-steps", post(reset_password_in_two_steps))
        .route("/logout", post(logout))
        .route("/regenerate", post(regenerate))
        .route("/clear-and-login", post(clear_and_login))
}

#[derive(Deserialize)]
pub(crate) struct SignIn {
    pub(crate) user: String,
}

async fn login(session: Session, Query(SignIn { user }): Query<SignIn>) -> Done {
    session.authenticate(user)?;
    DONE
}

async fn clear_and_login(session: Session, Query(SignIn { user }): Query<SignIn>) -> Done {
    session.clear()?;
    session.authenticate(user)?;
    DONE
}

async fn login_bytes(session: Session, user: Bytes) -> Done {
    session.authenticate(user.to_vec())?;
    DONE
}

/// Signs in as an administrator, or as one of a class that no layer declares. It may have the
/// character of administrators.
async fn login_as(
    session: Session,
    Path(class): Path<String>,
    Query(SignIn { user }): Query<SignIn>,
) -> Done {
    session.authenticate(user)?;
    session.set_class(match &*class {
        "admin" => ADMIN,
        "namesake" => Class::new("namesake", ADMIN.code().as_char()),
        _ => UNDECLARED,
    })?;
    DONE
}

/// Signs in with limits of its own: 5 minutes, and an hour.
async fn login_shortened(session: Session, Query(SignIn { user }): Query<SignIn>) -> Done {
    session.authenticate(user)?;
    session.shorten_idle(Duration::from_secs(5 * 60))?;
    session.shorten_absolute(Duration::from_secs(60 * 60))?;
    DONE
}

/// Timeouts in seconds.
#[derive(Deserialize)]
struct Shorten {
    idle: Option<u64>,
    left: Option<u64>,
}

async fn shorten(session: Session, Query(limits): Query<Shorten>) -> Done {
    if let Some(idle) = limits.idle {
        session.shorten_idle(Duration::from_secs(idle))?;
    }
    if let Some(left) = limits.left {
        session.shorten_absolute(Duration::from_secs(left))?;
    }
    DONE
}

/// Lets the user decide what to do when they have too many sessions.
async fn login_asking(
    session: Session,
    Query(SignIn { user }): Query<SignIn>,
) -> Result<&'static str, SessionError> {
    session.authenticate(user)?;
    match session.commit().await {
        Err(SessionError::AtLimit) => {
            session.insert("asked", "1")?;
            Ok("too many")
        }
        done => done.map(|()| "signed in"),
    }
}

/// The end of a password reset: the link of a mail was followed, and the new password is stored.
async fn reset_password(session: Session, Query(SignIn { user }): Query<SignIn>) -> Done {
    session.authenticate_and_end_others(user)?;
    DONE
}

async fn reset_password_of_bytes(session: Session, user: Bytes) -> Done {
    session.authenticate_and_end_others(user.to_vec())?;
    DONE
}

/// A password reset in two steps, as without the documentation.
async fn reset_password_in_two_steps(
    session: Session,
    sessions: Sessions,
    Query(SignIn { user }): Query<SignIn>,
) -> Done {
    sessions.revoke_all(user.clone()).await?;
    session.authenticate(user)?;
    DONE
}

async fn logout(session: Session) -> Done {
    session.terminate()?;
    DONE
}

async fn regenerate(session: Session) -> Done {
    session.regenerate()?;
    DONE
}
