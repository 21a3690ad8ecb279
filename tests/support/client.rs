//! A browser, as far as sessions are concerned.

use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::{JoinError, JoinHandle},
    time::timeout,
};

use tokio_tungstenite::tungstenite;

use crate::{COOKIE, Device, Events, Gate, Gates, Reply, SessionView, Socket};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A browser with its cookies. Clones are tabs of it; a [`fork`](Self::fork) has cookies of its
/// own.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    gates: Gates,
    jar: Arc<Mutex<BTreeMap<String, String>>>,
    agent: Option<&'static str>,
    from: Ipv4Addr,
}

impl Client {
    /// A browser without cookies that visits the server at `address`.
    pub fn new(address: SocketAddr, gates: Gates) -> Self {
        Self {
            address,
            gates,
            jar: Arc::default(),
            agent: None,
            from: Ipv4Addr::LOCALHOST,
        }
    }

    /// The same cookies in a browser with this `User-Agent`.
    #[must_use]
    pub fn calling_itself(&self, agent: &'static str) -> Self {
        Self {
            agent: Some(agent),
            ..self.clone()
        }
    }

    /// The same browser at this address, which must be one of this machine: `127.….….…`.
    #[must_use]
    pub fn from_address(&self, from: [u8; 4]) -> Self {
        Self {
            from: from.into(),
            ..self.clone()
        }
    }

    /// `GET`.
    pub fn get(&self, target: &str) -> Call {
        self.call(Method::GET, target)
    }

    /// `POST`.
    pub fn post(&self, target: &str) -> Call {
        self.call(Method::POST, target)
    }

    /// Any method.
    pub fn call(&self, method: Method, target: &str) -> Call {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().expect("a target");
        Call {
            client: self.clone(),
            request,
            takes_cookies: true,
        }
    }

    /// `DELETE`.
    pub fn delete(&self, target: &str) -> Call {
        self.call(Method::DELETE, target)
    }

    /// The list of the user's devices.
    pub async fn devices(&self) -> Vec<Device> {
        self.get("/passive/sessions").await.is(200).json()
    }

    /// The public name of the session.
    pub async fn handle(&self) -> String {
        self.view().await.handle.expect("a session")
    }

    /// The user authenticates again, for an elevation.
    pub async fn elevate(&self) -> &Self {
        self.post("/elevate").await.is(204).new_id();
        self
    }

    /// The session as the application sees it. Is no activity.
    pub async fn view(&self) -> SessionView {
        self.get("/passive/session").await.is(200).json()
    }

    /// The session is dead, and the client gets the reason: from a route that needs a user, and
    /// from one that does not.
    pub async fn gets_end_reason(&self, reason: &str) {
        let reply = self.get("/me").await;
        reply
            .is_problem(401, "authentication-required")
            .keeps_the_cookie();
        assert_eq!(reply.reason().as_deref(), Some(reason));
        let view = self.view().await;
        assert_eq!((view.user, view.ended.as_deref()), (None, Some(reason)));
    }

    /// The value of the session cookie.
    #[track_caller]
    pub fn id(&self) -> String {
        let jar = self.jar.lock().expect("the jar");
        jar.get(COOKIE).expect("a session cookie").clone()
    }

    /// Whether there is a session cookie.
    pub fn has_cookie(&self) -> bool {
        self.jar.lock().expect("the jar").contains_key(COOKIE)
    }

    /// Sets this identifier as the session cookie, as one that was planted, copied or kept.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        let mut jar = self.jar.lock().expect("the jar");
        jar.insert(COOKIE.to_owned(), id.to_owned());
        drop(jar);
        self
    }

    /// The value of the cookie of this name, if there is one.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().expect("the jar").get(name).cloned()
    }

    /// The names of its cookies, in order.
    pub fn cookie_names(&self) -> Vec<String> {
        self.jar.lock().expect("the jar").keys().cloned().collect()
    }

    /// Sets this as the cookie of this name, beside all others.
    #[must_use]
    pub fn with_cookie(self, name: &str, value: &str) -> Self {
        let mut jar = self.jar.lock().expect("the jar");
        jar.insert(name.to_owned(), value.to_owned());
        drop(jar);
        self
    }

    /// Another browser with the cookies that this one has now.
    pub fn fork(&self) -> Self {
        let jar = self.jar.lock().expect("the jar").clone();
        Self {
            jar: Arc::new(Mutex::new(jar)),
            ..self.clone()
        }
    }

    /// The server that it visits.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same browser at another server of the same site.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    fn cookies(&self) -> Option<HeaderValue> {
        let jar = self.jar.lock().expect("the jar");
        let pairs: Vec<_> = jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let line = Some(pairs.join("; ")).filter(|line| !line.is_empty())?;
        Some(line.parse().expect("cookies"))
    }

    fn take(&self, reply: &Reply) {
        let mut jar = self.jar.lock().expect("the jar");
        for cookie in reply.set_cookies() {
            if cookie.removes() {
                jar.remove(&cookie.name);
            } else {
                jar.insert(cookie.name, cookie.value);
            }
        }
    }
}

/// A request that is about to be sent. Awaiting it sends it.
#[must_use = "a request does nothing until it is awaited"]
pub struct Call {
    client: Client,
    request: Request<Full<bytes::Bytes>>,
    takes_cookies: bool,
}

impl Call {
    /// With this field, besides others of its name.
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a field");
        self.request
            .headers_mut()
            .append(HeaderName::from_static(name), value);
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<bytes::Bytes>) -> Self {
        *self.request.body_mut() = Full::new(body.into());
        self
    }

    /// With this `Cookie` field instead of the browser's cookies. May be called more than once.
    pub fn raw_cookie(mut self, field: impl AsRef<[u8]>) -> Self {
        self.takes_cookies = false;
        self.header("cookie", field)
    }

    /// The handler does its work and waits at `gate` before it answers.
    pub fn held_at(self, gate: &Gate) -> Self {
        let name = self.client.gates.put(gate);
        self.header("test-gate", name)
    }

    /// The handler does its work and then answers with this status.
    pub fn answered(self, status: u16) -> Self {
        self.header("test-status", status.to_string())
    }

    /// The response keeps what was granted though it refuses.
    pub fn keeping_grants(self) -> Self {
        self.header("test-keep", "1")
    }

    /// The handler does its work and then panics.
    pub fn panicking(self) -> Self {
        self.header("test-panic", "1")
    }

    /// The response has this field, set by the handler.
    pub fn with_response_field(self, field: &str) -> Self {
        self.header("test-field", field)
    }

    /// Sends it now; the answer can be waited for later.
    pub fn start(self) -> Flight {
        Flight(tokio::spawn(self.send()))
    }

    /// Sends it, and expects that the server breaks the connection.
    pub async fn breaks(self) {
        let result = self.send().await;
        assert!(result.is_err(), "{result:?}");
    }

    /// Sends it and reads the response as a stream of events.
    pub async fn listen(self) -> Events {
        let client = self.client.clone();
        let connected = connect(client.from.into(), client.address);
        let (mut sender, connection) = connected.await.expect("a connection");
        let connection = tokio::spawn(async {
            // The page sees an end too.
            let _ = connection.await;
        });
        let answer = sender.send_request(self.into_request()).await;
        let (head, body) = answer.expect("an answer").into_parts();
        assert_eq!(head.status, 200, "no events");
        client.take(&Reply::new(head.status, head.headers, String::new()));
        Events::new(body, connection)
    }

    /// Requests a WebSocket, from a page of the site unless the request has another `Origin`.
    pub async fn socket(self) -> Socket {
        let page = self.header("origin", "https://shop.example");
        let opened = page.try_socket().await;
        opened.unwrap_or_else(|reply| panic!("no socket but {reply:?}"))
    }

    /// Requests a WebSocket without an `Origin`.
    pub async fn try_socket(self) -> Result<Socket, Reply> {
        let address = self.client.address;
        let (parts, _) = self
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .into_request()
            .into_parts();
        let mut request = Request::from_parts(parts, ());
        let target = format!("ws://shop.example{}", request.uri());
        *request.uri_mut() = target.parse().expect("a target");
        let stream = TcpStream::connect(address).await.expect("a connection");
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Socket::new(socket)),
            Err(tungstenite::Error::Http(response)) => {
                let (head, body) = response.into_parts();
                let body = body.unwrap_or_default();
                let body = String::from_utf8_lossy(&body).into_owned();
                Err(Reply::new(head.status, head.headers, body))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The cookies are those of the moment this is called.
    fn send(self) -> impl Future<Output = Result<Reply, Failure>> + Send + 'static {
        let client = self.client.clone();
        let request = self.into_request();
        async move {
            let exchanged = exchange(client.from.into(), client.address, request);
            // Longer than any working request takes.
            let reply = timeout(Duration::from_secs(20), exchanged).await??;
            client.take(&reply);
            Ok(reply)
        }
    }

    fn into_request(self) -> Request<Full<bytes::Bytes>> {
        let Self {
            client,
            mut request,
            takes_cookies,
        } = self;
        let headers = request.headers_mut();
        if !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, HeaderValue::from_static("shop.example"));
        }
        if let (Some(agent), false) = (client.agent, headers.contains_key(header::USER_AGENT)) {
            headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        }
        if let Some(cookies) = client.cookies().filter(|_| takes_cookies) {
            headers.insert(header::COOKIE, cookies);
        }
        request
    }
}

impl IntoFuture for Call {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let sent = self.send();
        Box::pin(async { sent.await.expect("an answer") })
    }
}

/// A request under way.
pub struct Flight(JoinHandle<Result<Reply, Failure>>);

impl Flight {
    /// Its answer.
    pub async fn reply(self) -> Reply {
        self.0.await.expect("a client").expect("an answer")
    }

    /// The server breaks the connection.
    pub async fn breaks(self) {
        let result = self.0.await.expect("a client");
        assert!(result.is_err(), "{result:?}");
    }

    /// The client disconnects.
    pub async fn disconnect(self) {
        self.0.abort();
        assert!(
            self.0
                .await
                .is_err_and(|error: JoinError| error.is_cancelled())
        );
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, Full<bytes::Bytes>>;
type Sender = http1::SendRequest<Full<bytes::Bytes>>;

async fn connect(from: IpAddr, address: SocketAddr) -> Result<(Sender, Connection), Failure> {
    let socket = TcpSocket::new_v4()?;
    if from != address.ip() {
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    Ok(http1::handshake(TokioIo::new(stream)).await?)
}

/// One request over a connection of its own, which ends with this future.
async fn exchange(
    from: IpAddr,
    address: SocketAddr,
    request: Request<Full<bytes::Bytes>>,
) -> Result<Reply, Failure> {
    let (mut sender, connection) = connect(from, address).await?;
    let talk = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Reply::new(head.status, head.headers, body))
    };
    tokio::pin!(talk);
    tokio::select! {
        biased;
        reply = &mut talk => reply,
        closed = connection => match closed {
            Ok(()) => talk.await,
            Err(error) => Err(error.into()),
        },
    }
}
