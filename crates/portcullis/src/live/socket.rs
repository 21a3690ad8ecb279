//! WebSockets that end with a session.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Error,
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    response::{IntoResponse, Response},
};
use axum_core::extract::FromRequestParts;
use futures_core::Stream;
use futures_sink::Sink;
use http::{HeaderValue, request::Parts};
use portcullis_core::{Demand, Scope};
use tokio::{sync::oneshot, task::unconstrained, time::timeout};

use crate::{
    guard::{
        demand::{self, Privileged},
        session_guard::{self, Authenticated, Elevated, Rejection},
    },
    headers::origin,
    live::{
        Lifeline,
        lifeline::Waiting,
        socket_origin::{Site, is_allowed},
    },
    reject::{connection_ended::ConnectionEnded, error::SessionError, problem::Problem},
    request::{session::Session, state::State},
};

/// How long a client may take to receive the close frame.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// An extractor for a WebSocket with a session. `G` is what the connection needs: a live
/// [`Session`], [`Authenticated`] or [`Elevated`].
///
/// ```
/// use axum::{Router, extract::ws::Message, response::Response, routing::any};
/// use portcullis::{Authenticated, MemoryStore, SessionLayer, live::SessionSocket};
///
/// async fn chat(socket: SessionSocket<Authenticated>) -> Response {
///     let user = socket.guard().user().to_string();
///     socket.on_upgrade(async move |mut socket| {
///         let hello = Message::text(format!("Hello, {user}"));
///         if socket.send(hello).await.is_err() {
///             return;
///         }
///         while let Some(Ok(message)) = socket.recv().await {
///             if let Message::Text(_) = message && socket.send(message).await.is_err() {
///                 return;
///             }
///         }
///     })
/// }
///
/// let app: Router = Router::new()
///     .route("/chat", any(chat))
///     .layer(SessionLayer::new(MemoryStore::new()));
/// ```
///
/// * **The page** must be of this site: `Origin` names the request's own host, or one of
///   [`SessionLayer::trusted_origins`](crate::SessionLayer::trusted_origins). Otherwise the
///   response is a 403, even for a request with a cookie and without `Origin` (OWASP ASVS 5.0,
///   4.4.2). With a `Secure` cookie, a page over plain http is refused too, unless its host is this
///   machine (`localhost`, `127.0.0.1`).
/// * **Hosts** compare as URLs do: `Host: shop.example:443` is `https://shop.example`. Proxies must
///   pass on `Host` and `Origin`; the log shows both.
/// * **When the session ends**, the socket is closed, even while the handler is busy. The close
///   frame has [`ConnectionEnded::close_code`] (4401, 4403, 1013) and the code of the reason. After
///   that, [`recv`](SessionWebSocket::recv) returns `None` and [`send`](SessionWebSocket::send)
///   fails. [`Lifeline`] describes when that happens.
/// * **No message and no ping keeps the session alive.**
pub struct SessionSocket<G = Session> {
    upgrade: WebSocketUpgrade,
    guard: G,
}

impl<G: SocketGuard> SessionSocket<G> {
    /// The session or guard that the connection needs.
    pub fn guard(&self) -> &G {
        &self.guard
    }

    /// Changes limits or protocols.
    ///
    /// ```
    /// # use axum::response::Response;
    /// # use portcullis::{Session, live::SessionSocket};
    /// async fn chat(socket: SessionSocket<Session>) -> Response {
    ///     let socket = socket.configure(|upgrade| {
    ///         upgrade.max_message_size(64 * 1024).protocols(["chat"])
    ///     });
    ///     socket.on_upgrade(async |_socket| {})
    /// }
    /// ```
    #[must_use]
    pub fn configure(self, change: impl FnOnce(WebSocketUpgrade) -> WebSocketUpgrade) -> Self {
        Self {
            upgrade: change(self.upgrade),
            ..self
        }
    }

    /// Returns the response that opens the WebSocket. `handler` gets it once it is open.
    pub fn on_upgrade<C, F>(self, handler: C) -> Response
    where
        C: FnOnce(SessionWebSocket) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let lifeline = self.guard.lifeline();
        self.upgrade
            .on_upgrade(move |socket| serve(socket, lifeline, handler))
    }
}

async fn serve<C, F>(socket: WebSocket, lifeline: Lifeline, handler: C)
where
    C: FnOnce(SessionWebSocket) -> F,
    F: Future<Output = ()>,
{
    let shared = Shared::new(socket);
    let (alive, dropped) = oneshot::channel();
    let mut handled = pin!(async {
        handler(SessionWebSocket::new(&shared, &lifeline, alive)).await;
        // The handler may have moved it to another task.
        let _ = dropped.await;
    });
    tokio::select! {
        biased;
        end = unconstrained(lifeline.ended()) => {
            tokio::join!(shared.close(end), handled);
        }
        () = &mut handled => {
            // The handler may have noticed the end a moment earlier, and returned because of it.
            if let Some(end) = shared.ended() {
                shared.close(end).await;
            }
        }
    }
}

/// The socket, which is taken from the handler when the session ends. It is locked for one poll,
/// never across an await.
#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    socket: Mutex<Option<WebSocket>>,
    /// The end that the handler noticed.
    end: OnceLock<ConnectionEnded>,
}

impl Shared {
    fn new(socket: WebSocket) -> Self {
        Self(Arc::new(Inner {
            socket: Mutex::new(Some(socket)),
            end: OnceLock::new(),
        }))
    }

    fn ended(&self) -> Option<ConnectionEnded> {
        self.0.end.get().copied()
    }

    fn with<T>(&self, f: impl FnOnce(&mut Option<WebSocket>) -> T) -> T {
        let socket = self.0.socket.lock();
        f(&mut socket.unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends the close frame. The handler no longer has the socket.
    async fn close(&self, end: ConnectionEnded) {
        let Some(mut socket) = self.with(Option::take) else {
            return;
        };
        let send_close = async {
            let frame = CloseFrame {
                code: end.close_code(),
                reason: end.as_str().into(),
            };
            if socket.send(Message::Close(Some(frame))).await.is_ok() {
                // A connection that closes with unread messages may lose the close frame.
                while let Some(Ok(_)) = socket.recv().await {}
            }
        };
        let _ = timeout(CLOSE_WITHIN, send_close).await;
    }
}

/// A WebSocket that is closed when its session ends. From [`SessionSocket::on_upgrade`]. It can be
/// split like axum's own.
pub struct SessionWebSocket {
    socket: Shared,
    /// One for each half. The halves may be in two tasks, and a future wakes only one of them.
    reading: Waiting,
    writing: Waiting,
    protocol: Option<HeaderValue>,
    /// Its drop signals that the handler has dropped the socket.
    _alive: oneshot::Sender<Infallible>,
}

#[derive(Clone, Copy)]
enum Half {
    Reading,
    Writing,
}

impl SessionWebSocket {
    fn new(shared: &Shared, lifeline: &Lifeline, alive: oneshot::Sender<Infallible>) -> Self {
        let protocol = shared.with(|socket| socket.as_ref()?.protocol().cloned());
        Self {
            socket: shared.clone(),
            reading: lifeline.waiting(),
            writing: lifeline.waiting(),
            protocol,
            _alive: alive,
        }
    }

    /// The next message. `None` when the socket is closed, by the client or because the session
    /// ended.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// When the connection is broken. The error contains [`ConnectionEnded`] if the session ended.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_ready(cx)).await?;
        Pin::new(&mut *self).start_send(message)?;
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// How the session ended, after [`recv`](Self::recv) or [`send`](Self::send) noticed it.
    pub fn ended(&self) -> Option<ConnectionEnded> {
        self.socket.ended()
    }

    /// The negotiated protocol.
    pub fn protocol(&self) -> Option<&HeaderValue> {
        self.protocol.as_ref()
    }

    fn poll_ended(&mut self, half: Half, cx: &mut Context<'_>) -> Option<ConnectionEnded> {
        let watch = match half {
            Half::Reading => &mut self.reading,
            Half::Writing => &mut self.writing,
        };
        if self.socket.ended().is_none()
            && let Poll::Ready(end) = watch.as_mut().poll(cx)
        {
            let _ = self.socket.0.end.set(end);
        }
        self.ended()
    }

    /// Polls the socket, unless it was taken away.
    fn poll_socket<T>(
        &mut self,
        half: Half,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut WebSocket>, &mut Context<'_>) -> Poll<T>,
        otherwise: impl FnOnce(Option<ConnectionEnded>) -> T,
    ) -> Poll<T> {
        let end = self.poll_ended(half, cx);
        self.socket.with(|socket| match (end, socket) {
            (None, Some(socket)) => poll(Pin::new(socket), cx),
            (end, _) => Poll::Ready(otherwise(end)),
        })
    }
}

/// The error after the socket was taken away, also if this half had not noticed the end.
fn error_of(end: Option<ConnectionEnded>) -> Error {
    Error::new(end.unwrap_or(ConnectionEnded::Session(None)))
}

impl Stream for SessionWebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_socket(
            Half::Reading,
            cx,
            |socket, cx| socket.poll_next(cx),
            |_| None,
        )
    }
}

impl Sink<Message> for SessionWebSocket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_socket(
            Half::Writing,
            cx,
            |socket, cx| socket.poll_ready(cx),
            |end| Err(error_of(end)),
        )
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let end = self.ended();
        self.socket.with(|socket| match (end, socket) {
            (None, Some(socket)) => Pin::new(socket).start_send(message),
            (end, _) => Err(error_of(end)),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_socket(
            Half::Writing,
            cx,
            |socket, cx| socket.poll_flush(cx),
            |end| Err(error_of(end)),
        )
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // A close after the end succeeds: the socket is closed.
        self.get_mut().poll_socket(
            Half::Writing,
            cx,
            |socket, cx| socket.poll_close(cx),
            |_| Ok(()),
        )
    }
}

impl<G> fmt::Debug for SessionSocket<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSocket").finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionWebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionWebSocket")
            .field("end", &self.ended())
            .finish_non_exhaustive()
    }
}

/// What a [`SessionSocket`] can need: a live [`Session`], [`Authenticated`] or [`Elevated`].
pub trait SocketGuard: Sized + Send + Sync + 'static {
    #[doc(hidden)]
    fn check(parts: &Parts) -> impl Future<Output = Result<Self, Rejection>> + Send;

    #[doc(hidden)]
    fn lifeline(&self) -> Lifeline;
}

impl SocketGuard for Session {
    async fn check(parts: &Parts) -> Result<Self, Rejection> {
        let session = session_guard::session(State::of(&parts.extensions)).await?;
        match session.info() {
            Some(_) => Ok(session),
            None => Err(session_guard::no_session(session.state())),
        }
    }

    fn lifeline(&self) -> Lifeline {
        Self::lifeline(self)
    }
}

impl SocketGuard for Authenticated {
    async fn check(parts: &Parts) -> Result<Self, Rejection> {
        session_guard::authenticated(State::of(&parts.extensions)).await
    }

    fn lifeline(&self) -> Lifeline {
        Self::lifeline(self)
    }
}

impl<S: Scope> SocketGuard for Elevated<S> {
    async fn check(parts: &Parts) -> Result<Self, Rejection> {
        session_guard::elevated(State::of(&parts.extensions)).await
    }

    fn lifeline(&self) -> Lifeline {
        Self::lifeline(self)
    }
}

impl<D: Demand> SocketGuard for Privileged<D> {
    async fn check(parts: &Parts) -> Result<Self, Rejection> {
        demand::privileged(State::of(&parts.extensions)).await
    }

    fn lifeline(&self) -> Lifeline {
        Self::lifeline(self)
    }
}

impl<S, G> FromRequestParts<S> for SessionSocket<G>
where
    S: Send + Sync,
    G: SocketGuard,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Some(session) = State::of(&parts.extensions).cloned() else {
            return Err(SessionError::MissingLayer.into_response());
        };
        let site = Site {
            trusted: &session.config.trusted_origins,
            is_secure: session.config.cookie.is_secure(),
        };
        if !is_allowed(&parts.uri, &parts.headers, session.has_cookie(), site) {
            origin::log_refusal("a WebSocket", &parts.uri, &parts.headers);
            let refused = Rejection::refused(Problem::CrossSite, &session);
            return Err(refused.into_response());
        }
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        let upgrade = upgrade.map_err(IntoResponse::into_response)?;
        let guard = G::check(parts).await;
        Ok(Self {
            upgrade,
            guard: guard.map_err(IntoResponse::into_response)?,
        })
    }
}
