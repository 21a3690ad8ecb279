//! A site with sessions, and browsers that visit it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test uses some of it"
)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request},
    http::{Method, StatusCode, header, request},
    response::Response,
    routing::{get, post},
};
use http_body_util::BodyExt;
use portcullis::{
    Authenticated, Elevated, MemoryStore, Session, SessionError, SessionLayer, Sessions,
    audit::{Audit, Event, EventKind},
    session::SessionHandle,
    store::ManualClock,
};
use tower::ServiceExt;

pub const PHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1";
pub const DESK: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

#[derive(Clone, Default)]
pub struct RecordedEvents(Arc<Mutex<Vec<Event>>>);

impl Audit for RecordedEvents {
    fn record(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl RecordedEvents {
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub fn kinds(&self) -> Vec<EventKind> {
        self.take().into_iter().map(|event| event.kind).collect()
    }
}

pub struct Site {
    pub events: RecordedEvents,
    pub store: MemoryStore,
    pub clock: ManualClock,
    pub layer: SessionLayer,
    app: Router,
}

impl Site {
    pub fn new(settings: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        let (events, clock) = (RecordedEvents::default(), ManualClock::new());
        let store = MemoryStore::with_clock(&clock);
        let layer = settings(SessionLayer::new(store.clone()).audit(events.clone()));
        let app = Router::new()
            .route("/read", get(read))
            .route("/sign-in/{user}", post(sign_in))
            .route("/sign-in-while-revoked/{user}", post(sign_in_while_revoked))
            .route(
                "/sign-in-for-the-oldest/{user}",
                post(sign_in_for_the_oldest),
            )
            .route("/sign-in-and-ignore/{user}", post(sign_in_and_ignore))
            .route("/account", get(account))
            .route("/confirm", get(account).post(confirm))
            .route("/write", post(write))
            .route("/fail", get(fail))
            .route(
                "/ended-meanwhile",
                get(ended_meanwhile).post(ended_meanwhile),
            )
            .route("/danger", get(danger))
            .route("/sign-out", post(sign_out))
            .route("/devices", get(devices))
            .route("/history", get(history))
            .route("/revoke/{handle}", post(revoke))
            .route("/revoke-others", post(revoke_others))
            .route("/revoke-all", post(revoke_all))
            .layer(layer.clone())
            .layer(Extension(clock.clone()));
        Self {
            events,
            store,
            clock,
            layer,
            app,
        }
    }

    pub fn browser(&self, agent: &'static str) -> Browser<'_> {
        Browser {
            site: self,
            agent,
            cookie: None,
        }
    }

    /// A browser in which `user` is signed in.
    pub async fn signed_in(&self, user: &str, agent: &'static str) -> Browser<'_> {
        // A sign-in does not follow a revocation in the same millisecond.
        self.clock.advance(Duration::from_millis(1));
        let mut browser = self.browser(agent);
        let answer = browser.post(&format!("/sign-in/{user}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        browser
    }
}

pub struct Browser<'s> {
    site: &'s Site,
    pub agent: &'static str,
    pub cookie: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
    pub set_cookie: Option<String>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn removes_the_cookie(&self) -> bool {
        self.set_cookie
            .as_ref()
            .is_some_and(|field| field.contains("Max-Age=0"))
    }
}

impl Browser<'_> {
    /// The same cookie on another device.
    pub fn stolen(&self, agent: &'static str) -> Self {
        Self {
            site: self.site,
            agent,
            cookie: self.cookie.clone(),
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path)).await
    }

    pub async fn post(&mut self, path: &str) -> Answer {
        self.send(Request::post(path)).await
    }

    async fn send(&mut self, request: request::Builder) -> Answer {
        let mut request = request.header(header::USER_AGENT, self.agent);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.site.app.clone().oneshot(request).await.unwrap();
        let set_cookie = set_cookie(&response);
        if let Some(field) = &set_cookie {
            let pair = field.split(';').next().unwrap().to_owned();
            self.cookie = (!field.contains("Max-Age=0")).then_some(pair);
        }
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            body: String::from_utf8(body.to_vec()).unwrap(),
            set_cookie,
        }
    }
}

fn set_cookie(response: &Response) -> Option<String> {
    let field = response.headers().get(header::SET_COOKIE)?;
    Some(field.to_str().unwrap().to_owned())
}

async fn read(session: Session) -> String {
    format!("{:?} {:?}", session.user(), session.end_reason())
}

async fn sign_in(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.authenticate(user)
}

/// All sessions of the user are revoked before the sign-in is done.
async fn sign_in_while_revoked(
    session: Session,
    sessions: Sessions,
    Extension(clock): Extension<ManualClock>,
    Path(user): Path<String>,
) -> Result<(), SessionError> {
    session.authenticate(&user)?;
    clock.advance(Duration::from_millis(1));
    sessions.revoke_all(user).await?;
    Ok(())
}

/// A handler at the limit may end the oldest session and continue.
async fn sign_in_for_the_oldest(
    session: Session,
    sessions: Sessions,
    Path(user): Path<String>,
) -> Result<&'static str, SessionError> {
    session.authenticate(&user)?;
    let Err(SessionError::AtLimit) = session.commit().await else {
        return Ok("the limit was not reached");
    };
    let listed = sessions.list(&user).await?;
    let oldest = listed.last().unwrap().info.handle;
    sessions.revoke(&user, oldest).await?;
    session.authenticate(user)?;
    Ok("the oldest was ended")
}

async fn sign_in_and_ignore(session: Session, Path(user): Path<String>) -> &'static str {
    let _ = session.authenticate(user);
    let _ = session.commit().await;
    "Welcome!"
}

async fn account(signed_in: Authenticated) -> String {
    signed_in.user().to_string()
}

async fn confirm(signed_in: Authenticated) -> Result<(), SessionError> {
    signed_in.session().elevate()
}

async fn write(session: Session) -> Result<(), SessionError> {
    session.update("n", |n: &mut u32| *n += 1)
}

async fn fail(session: Session) -> StatusCode {
    let _ = session.user();
    StatusCode::INTERNAL_SERVER_ERROR
}

/// An operator is faster than the handler, which writes if it is a POST.
async fn ended_meanwhile(
    session: Session,
    sessions: Sessions,
    method: Method,
) -> Result<(), SessionError> {
    sessions.revoke_all("alice").await?;
    match method {
        Method::POST => write(session).await,
        _ => Ok(()),
    }
}

async fn danger(_: Elevated) {}

async fn sign_out(session: Session) -> Result<(), SessionError> {
    session.terminate()
}

async fn devices(signed_in: Authenticated) -> Result<String, SessionError> {
    let entries = signed_in.list_sessions().await?;
    let lines = entries.iter().map(|entry| {
        format!(
            "{} {} {}",
            entry.info.handle,
            entry.client.as_ref().unwrap(),
            if entry.current { "here" } else { "there" }
        )
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

async fn history(signed_in: Authenticated) -> Result<String, SessionError> {
    let logged = signed_in.history(0).await?;
    let words = logged.iter().filter_map(|line| {
        let event = line.event.as_ref()?;
        Some(event.kind.as_str())
    });
    Ok(words.collect::<Vec<_>>().join(" "))
}

async fn revoke(elevated: Elevated, Path(name): Path<String>) -> Result<StatusCode, SessionError> {
    let handle = SessionHandle::parse(&name).unwrap();
    let receipt = elevated.revoke_session(handle).await?;
    Ok(match receipt.ended.is_empty() {
        true => StatusCode::NOT_FOUND,
        false => StatusCode::NO_CONTENT,
    })
}

async fn revoke_others(elevated: Elevated) -> Result<String, SessionError> {
    let receipt = elevated.revoke_other_sessions().await?;
    elevated.session().regenerate()?;
    Ok(receipt.ended.len().to_string())
}

async fn revoke_all(elevated: Elevated) -> Result<String, SessionError> {
    let receipt = elevated.revoke_all_sessions().await?;
    Ok(receipt.ended.len().to_string())
}
