//! Routes of the application that stay open after the response has begun.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{Path, Query, ws::Message},
    http::{HeaderValue, header::CONTENT_LENGTH},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::{any, get, post},
};
use futures_util::{SinkExt, Stream, StreamExt, stream};
use portcullis::{
    Authenticated, Elevated, Privileged, Session, SessionError,
    live::{Lifeline, SessionSocket, SessionWebSocket, SocketGuard},
};
use tokio::sync::oneshot;

use crate::{
    Gates,
    app::{Operate, Payments, SignIn},
};

/// The number of rows of the table, and how many of them are sent at once.
const ROWS: u32 = 1000;
const SOON: u32 = 41;

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/live/session", get(session))
        .route("/live", get(signed_in))
        .route("/live/bytes", get(bytes))
        .route("/live/rows/{gate}/{length}", get(rows))
        .route("/live/elevated", get(elevated))
        .route("/live/payments", get(payments))
        .route("/live/operate", get(operate))
        .route("/live/login", post(login))
        .route("/live/early", post(early))
        .route("/live/logout", post(logout))
        .route("/live/new", post(new))
        .route("/live/regenerate", post(regenerate))
        .route("/live/poll", get(poll))
        .route("/socket", any(socket))
        .route("/socket/session", any(socket_of_session))
        .route("/socket/elevated", any(socket_of_elevated))
        .route("/socket/operate", any(socket_of_operate))
        .route("/socket/deaf", any(deaf))
        .route("/socket/loud", any(loud))
        .route("/socket/split", any(split))
}

/// An endless stream of events.
fn ticks() -> impl Stream<Item = Result<Event, Infallible>> {
    stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(Event::default().event("tick").data("."))
    })
}

fn events(lifeline: &Lifeline) -> Response {
    Sse::new(lifeline.guard_events(ticks())).into_response()
}

async fn session(session: Session) -> Response {
    events(&session.lifeline())
}

async fn signed_in(signed_in: Authenticated) -> Response {
    events(&signed_in.lifeline())
}

/// An endless stream of bytes, as fast as they are read.
async fn bytes(signed_in: Authenticated) -> Body {
    let bytes = stream::repeat_with(|| Ok::<_, Infallible>("byte ".repeat(100)));
    Body::new(signed_in.lifeline().guard_body(Body::from_stream(bytes)))
}

/// Some rows at once, and the rest when the test opens the gate. A table, and its length in bytes
/// if the request has `known`.
async fn rows(
    signed_in: Authenticated,
    Extension(gates): Extension<Gates>,
    Path((gate, length)): Path<(String, String)>,
) -> Response {
    let row = |n: u32| Ok::<_, Infallible>(Bytes::from(format!("row {n:04}\n")));
    let rest = stream::once(async move { gates.named(&gate).pass().await });
    let rest = rest.flat_map(move |()| stream::iter((SOON..ROWS).map(row)));
    let rows = stream::iter((0..SOON).map(row)).chain(rest);
    let body = signed_in.lifeline().guard_body(Body::from_stream(rows));
    let mut response = Response::new(Body::new(body));
    if length == "known" {
        let length = HeaderValue::from(u64::from(ROWS) * 9);
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    response
}

async fn elevated(elevated: Elevated) -> Response {
    events(&elevated.lifeline())
}

async fn payments(elevated: Elevated<Payments>) -> Response {
    events(&elevated.lifeline())
}

async fn operate(privileged: Privileged<Operate>) -> Response {
    events(&privileged.lifeline())
}

/// The lifeline is made before the session is.
async fn login(session: Session, Query(sign_in): Query<SignIn>) -> Result<Response, SessionError> {
    let lifeline = session.lifeline();
    session.authenticate(sign_in.user)?;
    Ok(events(&lifeline))
}

/// A task waits for the end of the session before the request replaces it.
async fn early(session: Session, Query(sign_in): Query<SignIn>) -> Result<Response, SessionError> {
    let lifeline = session.lifeline();
    let (alive, ended) = oneshot::channel::<()>();
    tokio::spawn(async move {
        lifeline.ended().await;
        drop(alive);
    });
    session.insert("a", "b")?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    session.authenticate(sign_in.user)?;
    Ok(Sse::new(ticks().take_until(ended)).into_response())
}

async fn logout(session: Session) -> Result<Response, SessionError> {
    let lifeline = session.lifeline();
    session.terminate()?;
    Ok(events(&lifeline))
}

async fn new(session: Session) -> Result<Response, SessionError> {
    let lifeline = session.lifeline();
    session.insert("a", "b")?;
    Ok(events(&lifeline))
}

async fn regenerate(signed_in: Authenticated) -> Result<Response, SessionError> {
    let lifeline = signed_in.lifeline();
    signed_in.session().regenerate()?;
    Ok(events(&lifeline))
}

/// A long poll: the response begins when the session has ended.
async fn poll(signed_in: Authenticated) -> Response {
    let lost = signed_in.lifeline().ended().await;
    lost.to_string().into_response()
}

fn echo<G: SocketGuard>(socket: SessionSocket<G>) -> Response {
    socket.on_upgrade(async |mut socket: SessionWebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(_) = message {
                let _ = socket.send(message).await;
            }
        }
    })
}

async fn socket(socket: SessionSocket<Authenticated>) -> Response {
    echo(socket)
}

async fn socket_of_session(socket: SessionSocket) -> Response {
    echo(socket)
}

async fn socket_of_elevated(socket: SessionSocket<Elevated>) -> Response {
    echo(socket)
}

async fn socket_of_operate(socket: SessionSocket<Privileged<Operate>>) -> Response {
    echo(socket)
}

/// The handler holds the socket and never reads from it, for longer than any test runs.
async fn deaf(socket: SessionSocket<Authenticated>) -> Response {
    socket.on_upgrade(async |socket: SessionWebSocket| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(socket);
    })
}

/// The handler sends as fast as it can, and ignores errors.
async fn loud(socket: SessionSocket<Authenticated>) -> Response {
    socket.on_upgrade(async |mut socket: SessionWebSocket| {
        while socket.ended().is_none() {
            let _ = socket.send(Message::text("noise")).await;
        }
    })
}

/// The handler moves the halves to tasks of their own and returns.
async fn split(socket: SessionSocket<Authenticated>) -> Response {
    socket.on_upgrade(async |socket: SessionWebSocket| {
        let (mut sink, mut stream) = socket.split();
        let (sender, mut outgoing) = tokio::sync::mpsc::channel(8);
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if let Message::Text(_) = message
                    && sender.send(message).await.is_err()
                {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(message) = outgoing.recv().await {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
    })
}
