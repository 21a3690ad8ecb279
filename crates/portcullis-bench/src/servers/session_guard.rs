//! session-guard on its Redis store, as its documentation sets it up: the layer around the routes
//! that need a session, the task that purges, everything else at its default but the lifetimes,
//! which are those of Portcullis.
//!
//! It keeps no data: the user of the session stands for the value others read. A visitor who is not
//! signed in has no session.

use std::time::Duration;

use axum::{
    Router,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use session_guard::{
    AuthSession, Guard, GuardConfig, GuardError, NewSession, ValkeyStore,
    axum::{LoggedOut, Sessions},
};

use super::{Settings, ignored};
use crate::Result;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PURGE: Duration = Duration::from_secs(600);

type OfUser = Sessions<ValkeyStore, String>;

pub(super) async fn app(settings: &Settings) -> Result<Router> {
    // As often as Portcullis.
    let step = (settings.idle / 30).clamp(Duration::from_secs(1), Duration::from_secs(60));
    let config = GuardConfig::builder()
        .session_lifetime(DAY)
        .idle_timeout(settings.idle)
        .last_seen_write_interval(step)
        .build()?;
    let store = ValkeyStore::connect(&settings.url()).await?;
    let guard: Guard<ValkeyStore, String> =
        Guard::builder(store, config).subject::<String>().build();
    // The first purge would be at once, and be counted with the first requests.
    let later = guard.clone();
    tokio::spawn(async move {
        tokio::time::sleep(PURGE).await;
        drop(later.spawn_purge(PURGE));
    });
    Ok(Router::new()
        .route("/read", get(read))
        .route("/sessions", get(sessions))
        .layer(guard.layer())
        .route("/ignored", get(ignored))
        .route("/enter/{user}", post(sign_in))
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/revoke-all/{user}", post(revoke_all))
        .route("/who", get(who))
        .with_state(guard))
}

async fn read(session: AuthSession<String>) -> String {
    session.subject
}

async fn sign_in(
    sessions: OfUser,
    Path(user): Path<String>,
) -> std::result::Result<(NewSession, String), GuardError> {
    Ok((sessions.login(&user).await?, user))
}

async fn sign_out(sessions: OfUser) -> std::result::Result<(LoggedOut, &'static str), GuardError> {
    Ok((sessions.logout().await?, "ok"))
}

async fn sessions(
    session: AuthSession<String>,
    sessions: OfUser,
) -> std::result::Result<String, GuardError> {
    let listed = sessions.guard().list_sessions(&session.subject).await?;
    Ok(listed.len().to_string())
}

async fn revoke_all(
    sessions: OfUser,
    Path(user): Path<String>,
) -> std::result::Result<String, GuardError> {
    let guard = sessions.guard();
    let ended = guard
        .revoke_all_for_subject(&user, sessions.client())
        .await?;
    Ok(ended.to_string())
}

async fn who(sessions: OfUser) -> std::result::Result<String, StatusCode> {
    let Some(token) = sessions.token() else {
        return Ok("none".into());
    };
    let found = sessions.guard().peek(token).await;
    let found = found.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(found.map_or_else(|| "none".into(), |session| session.subject))
}
