//! A small application, and requests to it without a network.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Path,
    http::{
        Request,
        header::{COOKIE, SET_COOKIE, USER_AGENT},
    },
    routing::{get, post},
};
use portcullis::{
    Key, MemoryStore, Session, SessionError, SessionLayer, Timeouts, settings::SessionLimit,
};
use tower::ServiceExt;

use crate::{Result, case::Case};

const TEXT: Key<String> = Key::new("text");
const COUNTER: Key<u64> = Key::new("counter");
const TEXT_BYTES: usize = 200;
const HOUR: Duration = Duration::from_secs(60 * 60);

fn app() -> Result<Router> {
    let sessions = SessionLayer::new(MemoryStore::new())
        .timeouts(Timeouts::new(HOUR, HOUR * 24)?)
        .session_limit(SessionLimit::displace(10)?);
    Ok(Router::new()
        .route("/ignored", get(|| async { "ok" }))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/sign-in/{user}", post(sign_in))
        .layer(sessions))
}

async fn read(session: Session) -> std::result::Result<String, SessionError> {
    let text = session.get(TEXT)?.unwrap_or_default();
    Ok(text.len().to_string())
}

async fn write(session: Session) -> std::result::Result<String, SessionError> {
    session.update(COUNTER, |counter| *counter += 1)?;
    Ok(session.get(COUNTER)?.unwrap_or_default().to_string())
}

async fn sign_in(
    session: Session,
    Path(user): Path<String>,
    text: String,
) -> std::result::Result<String, SessionError> {
    session.authenticate(&user)?;
    session.insert(TEXT, text)?;
    Ok(user)
}

/// Sends this many requests, one after the other.
pub(crate) fn drive(case: Case, requests: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (app, text) = (app()?, "x".repeat(TEXT_BYTES));
        let (cookie, _) = send(&app, "POST", "/sign-in/ada", "", &text).await?;
        for number in 1..=requests {
            let (answer, expected) = match case {
                Case::Ignored => (
                    send(&app, "GET", "/ignored", &cookie, "").await?,
                    "ok".into(),
                ),
                Case::Read => (
                    send(&app, "GET", "/read", &cookie, "").await?,
                    TEXT_BYTES.to_string(),
                ),
                Case::Write => (
                    send(&app, "POST", "/write", &cookie, "").await?,
                    number.to_string(),
                ),
                Case::SignIn => {
                    let path = format!("/sign-in/{number}");
                    let answer = send(&app, "POST", &path, "", &text).await?;
                    (answer, number.to_string())
                }
            };
            if answer.1 != expected {
                return Err(format!("{:?} where {expected:?} was expected", answer.1).into());
            }
        }
        Ok(())
    })
}

/// The cookie that was set, and the body of the response.
async fn send(
    app: &Router,
    method: &str,
    path: &str,
    cookie: &str,
    body: &str,
) -> Result<(String, String)> {
    let mut request = Request::builder().method(method).uri(path).header(
        USER_AGENT,
        "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    );
    if !cookie.is_empty() {
        request = request.header(COOKIE, cookie);
    }
    let request = request.body(Body::from(body.to_owned()))?;
    let answer = app.clone().oneshot(request).await?;
    let cookie = match answer.headers().get(SET_COOKIE) {
        Some(set) => {
            let pair = set.to_str()?.split(';').next();
            pair.unwrap_or_default().to_owned()
        }
        None => String::new(),
    };
    let body = to_bytes(answer.into_body(), usize::MAX).await?;
    Ok((cookie, String::from_utf8(body.to_vec())?))
}
