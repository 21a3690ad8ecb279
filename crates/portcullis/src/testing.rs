//! Sessions for tests of handlers: [`TestSession`] begins a session without a sign-in page.
//! [`TestSession::get`] and [`TestSession::post`] return a request in it.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE},
};
use portcullis_core::{Class, Scope, UserId, ValueKey};
use serde::Serialize;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Session, SessionError, SessionLayer, reject::Refusal};

/// A session for a test, which exists before the test sends a request: of a user, elevated or not,
/// with or without data.
///
/// It begins like any other session, with a request through the [`SessionLayer`] of the
/// application. So its limits, its place in the user's list and its audit events are those of a
/// real sign-in. Only the sign-in page is left out.
///
/// ```
/// use axum::{Router, http::StatusCode, routing::post};
/// use portcullis::{Elevated, Key, MemoryStore, SessionLayer, testing::TestSession};
/// use tower::ServiceExt; // for `oneshot`
///
/// const CART: Key<Vec<u64>> = Key::new("cart");
///
/// async fn change_password(elevated: Elevated) -> String {
///     format!("changed for {}", elevated.user())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sessions = SessionLayer::new(MemoryStore::new());
/// let app = Router::new().route("/password", post(change_password)).layer(sessions.clone());
///
/// let session = TestSession::of("ada").elevated().with(CART, vec![7]);
/// let request = session.post(&sessions, "/password", "new=secret").await;
/// assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::OK);
/// # }
/// ```
///
/// # Several requests
///
/// [`get`](Self::get) and [`post`](Self::post) send one request in a new session. For several
/// requests in one session, take its [`cookie`](Self::cookie). A response that gives the session a
/// new identifier carries the next cookie in `Set-Cookie`.
///
/// # Settings of the layer
///
/// The layer is any clone of the one in the application, also from before the application set its
/// pages or timeouts. Clones share the store. Only settings that decide which sessions the
/// application finds must be made before: the cookie, the realm and the store.
///
/// To let time pass, give the store a [`ManualClock`](crate::store::ManualClock):
/// [`MemoryStore::with_clock`](crate::MemoryStore::with_clock).
#[must_use = "call `get`, `post` or `cookie`"]
pub struct TestSession {
    changes: Vec<Change>,
}

type Change = Box<dyn FnOnce(&Session) -> Result<(), SessionError> + Send>;

impl TestSession {
    /// A session of this user, who has just signed in.
    pub fn of(user: impl Into<UserId>) -> Self {
        let user = user.into();
        Self::of_a_visitor().and(|session| session.authenticate(user))
    }

    /// A session of a visitor who has not signed in. It needs a value, see [`with`](Self::with):
    /// without a value there is no session.
    pub fn of_a_visitor() -> Self {
        Self {
            changes: Vec::new(),
        }
    }

    /// Elevates the session, as [`Session::elevate`] does.
    pub fn elevated(self) -> Self {
        self.and(Session::elevate)
    }

    /// Elevates the session for one scope, as [`Session::elevate_for`] does.
    pub fn elevated_for<S: Scope>(self) -> Self {
        self.and(Session::elevate_for::<S>)
    }

    /// Gives the session this class, as [`Session::set_class`] does.
    pub fn of_class(self, class: Class) -> Self {
        self.and(move |session| session.set_class(class))
    }

    /// Adds this value under `key`.
    pub fn with<T: Serialize + Send + 'static>(
        self,
        key: impl ValueKey<T> + Send + 'static,
        value: T,
    ) -> Self {
        self.and(|session| session.insert(key, value))
    }

    /// Begins the session, and returns the value of the `Cookie` header that a browser would send
    /// for it.
    ///
    /// # Panics
    ///
    /// When no session begins. The message gives the reason:
    ///
    /// * the store does not answer;
    /// * the [limit](SessionLayer::session_limit) refuses another session of the user;
    /// * a value is too large, or a visitor has no value;
    /// * the layer does not declare the class;
    /// * the name of the user is empty or too long.
    pub async fn cookie(self, layer: &SessionLayer) -> HeaderValue {
        let request = Request::builder().header(HOST, "localhost");
        let request = request.body(()).expect("a request without a body");
        let Ok(response) = layer.layer(SignIn(Some(self))).call(request).await;
        let name = layer.cookie_name();
        let cookies = response.headers().get_all(SET_COOKIE).iter();
        let mut pairs = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let pair = pairs.find(|pair| pair.split('=').next() == Some(name));
        let Some(pair) = pair else {
            let refusal = response.extensions().get::<Refusal>();
            panic!("no session began: {refusal:?}; without a refusal there was nothing to store");
        };
        HeaderValue::from_str(pair).expect("a part of a header is one")
    }

    /// Begins the session, and returns a GET request for `path` in it.
    ///
    /// It is the request of a program, so a refusal is a status such as 401. Add the header
    /// `Accept: text/html` to get the redirects and pages of a browser.
    ///
    /// # Panics
    ///
    /// When `path` is no path, and for the reasons of [`cookie`](Self::cookie).
    pub async fn get(self, layer: &SessionLayer, path: &str) -> Request<String> {
        let request = Request::get(path).body(String::new());
        self.request(layer, request).await
    }

    /// The same for a POST request that submits a form: `item=tea&count=2`, or nothing for a form
    /// without fields.
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    pub async fn post(
        self,
        layer: &SessionLayer,
        path: &str,
        form: impl Into<String>,
    ) -> Request<String> {
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.into());
        self.request(layer, request).await
    }

    async fn request(
        self,
        layer: &SessionLayer,
        request: http::Result<Request<String>>,
    ) -> Request<String> {
        let mut request = request.expect("a path, such as `/account`");
        let cookie = self.cookie(layer).await;
        request.headers_mut().insert(COOKIE, cookie);
        request
    }

    fn and(
        mut self,
        change: impl FnOnce(&Session) -> Result<(), SessionError> + Send + 'static,
    ) -> Self {
        self.changes.push(Box::new(change));
        self
    }
}

impl fmt::Debug for TestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSession").finish_non_exhaustive()
    }
}

/// A handler that makes the changes.
struct SignIn(Option<TestSession>);

impl Service<Request<()>> for SignIn {
    type Response = Response<Bytes>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let changes = self.0.take().map(|session| session.changes);
        Box::pin(async move {
            let session = Session::load(request.extensions()).await;
            let session = session.unwrap_or_else(|error| panic!("no session began: {error}"));
            for change in changes.into_iter().flatten() {
                change(&session).unwrap_or_else(|error| panic!("no session began: {error}"));
            }
            Ok(Response::new(Bytes::new()))
        })
    }
}
