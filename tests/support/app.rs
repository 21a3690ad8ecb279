//! The application under test: one small route for everything an application does with a session.
//!
//! What a handler does and how it ends are chosen apart. Every route can be held before it answers,
//! answer with any status and field, or panic. See [`Call`](crate::Call).

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::Ordering,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, Request, State},
    http::{HeaderName, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use hyper::body::Frame;
use portcullis::{
    Authenticated, Elevated, GuardLayer, KeepGrants, Key, LogQuery, Logged, PassiveLayer,
    RevocationReport, Scope, Session, SessionEntry, SessionError, SessionHandle, SessionRoutes,
    Sessions, Timestamp,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::{Gates, live, world::Answered};

/// A scope beside the general one.
#[derive(Debug)]
pub struct Payments;

impl Scope for Payments {
    const NAME: &'static str = "payments";
}

/// A scope with a name that tries to forge a second line of the log.
#[derive(Debug)]
struct Hostile;

impl Scope for Hostile {
    const NAME: &'static str = "a\n2026 ERROR forged\u{1b}[31m";
}

const CART: Key<Vec<u32>> = Key::new("cart");

type Done = Result<StatusCode, SessionError>;
const DONE: Done = Ok(StatusCode::NO_CONTENT);

/// The routes, without a session layer around them.
pub fn routes(gates: Gates) -> Router {
    let passive = Router::new()
        .route("/passive/session", get(view))
        .route("/passive/sessions", get(devices))
        .route("/passive/put/{key}/{value}", post(put))
        .route_layer(PassiveLayer::new());
    let account = Router::new()
        .route("/account", get(|| async { "account" }))
        .route_layer(GuardLayer::authenticated());
    let danger = Router::new()
        .route(
            "/danger",
            get(|| async { "danger" }).post(|| async { "danger" }),
        )
        .route_layer(GuardLayer::elevated());
    let payments = Router::new()
        .route("/danger/payments", get(|| async { "payments" }))
        .route_layer(GuardLayer::elevated_for::<Payments>());
    Router::new()
        .route(
            "/public",
            get(|| async { "public" }).post(|| async { "public" }),
        )
        .nest("/session", SessionRoutes::new().into_router())
        .route("/session", get(view))
        .route("/me", get(me).options(me))
        .route("/maybe", get(maybe))
        .route("/debug", get(debug))
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
        .route("/login", post(login))
        .route("/login-bytes", post(login_bytes))
        .route("/login-asking", post(login_asking))
        .route("/reset", post(reset_password))
        .route("/reset/bytes", post(reset_password_of_bytes))
        .route("/reset/in-two-steps", post(reset_password_in_two_steps))
        .route("/sessions", get(devices).delete(revoke_all))
        .route("/sessions/others", delete(revoke_others))
        .route("/sessions/{handle}", delete(revoke))
        .route("/password", post(change_password))
        .route("/history", get(history))
        .route("/confirm", get(me).post(confirm))
        .route("/operator", delete(operator_revokes_all_users))
        .route("/operator/flagged", get(flagged))
        .route("/operator/history", get(history_of_all))
        .route(
            "/operator/{user}",
            get(devices_of).delete(operator_revokes_all),
        )
        .route("/operator/{user}/{handle}", delete(operator_revokes))
        .route("/logout", post(logout))
        .route("/regenerate", post(regenerate))
        .route("/elevate", post(elevate))
        .route("/elevate/payments", post(elevate_for_payments))
        .route("/elevate/hostile", post(elevate_for_hostile))
        .route("/drop", post(drop_elevation))
        .route("/transfer", post(transfer))
        .route("/pay", post(pay))
        .route("/everything", post(everything))
        .route("/in-order", post(in_order))
        .route("/logout-and-put", post(logout_and_put))
        .route("/clear-and-login", post(clear_and_login))
        .route("/commit-between", post(commit_between))
        .route("/commit-then-fail", post(commit_then_fail))
        .route("/commit-ignored", post(commit_ignored))
        .route("/commit-only", post(commit_only))
        .route("/commit-only/ignored", post(commit_only_ignored))
        .route("/commit-beside/{gate}", post(commit_beside))
        .route("/commit-and-read/{gate}", post(commit_and_read))
        .route("/own-changes", post(own_changes))
        .route("/nested/read", post(nested_read))
        .route("/nested/write", post(nested_write))
        .route("/nested/panic", post(nested_panic))
        .route("/nested/panic-later/{key}", post(nested_panic_later))
        .route("/late", get(late))
        .route("/late/commit", get(late_commit))
        .route("/late/load", get(late_load))
        .route("/commit-abandoned", post(commit_abandoned))
        .route("/nested/commit", post(nested_commit))
        .route("/nested/encode", post(nested_encode))
        .route("/logout-and-commit", post(logout_and_commit))
        .merge(passive)
        .merge(account)
        .merge(danger)
        .merge(payments)
        .merge(live::routes())
        .layer(Extension(gates.clone()))
        .layer(from_fn_with_state(gates, ending))
}

/// Ends a handler as the test configured it.
async fn ending(State(gates): State<Gates>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let setting = |name: &str| Some(headers.get(name)?.to_str().expect("text"));
    let (gate, status, panics) = (
        setting("test-gate"),
        setting("test-status"),
        setting("test-panic"),
    );
    let (field, keeps) = (setting("test-field"), setting("test-keep"));
    let answered = request.extensions().get::<Answered>().cloned();
    let mut response = next.run(request).await;
    if let Some(name) = gate {
        gates.named(name).pass().await;
    }
    if let Some(status) = status {
        *response.status_mut() = status.parse().expect("a status");
    }
    if let Some((name, value)) = field.and_then(|field| field.split_once(": ")) {
        let name: HeaderName = name.parse().expect("a name");
        response
            .headers_mut()
            .append(name, value.parse().expect("a value"));
    }
    if keeps.is_some() {
        response.extensions_mut().insert(KeepGrants);
    }
    assert!(panics.is_none(), "the handler panics, as configured");
    if let Some(Answered(answered)) = answered {
        answered.store(true, Ordering::SeqCst);
    }
    response
}

/// The session as the application sees it. All times in milliseconds before or after the present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The session's public name, if there is a session.
    pub handle: Option<String>,
    /// Its user.
    pub user: Option<String>,
    /// Why the session of the cookie ended.
    pub ended: Option<String>,
    /// What is different about the device.
    pub flagged: Option<String>,
    /// Its user asked to be remembered.
    pub remembered: bool,
    /// The value `cart`.
    pub cart: Vec<u32>,
    /// Since the session began.
    pub age: u64,
    /// Since its user signed in.
    pub authenticated: Option<u64>,
    /// Since the last activity.
    pub inactive: u64,
    /// Until it ends without activity.
    pub idle_left: u64,
    /// Until it ends despite activity.
    pub absolute_left: u64,
    /// Until the elevation ends.
    pub elevated_left: Option<u64>,
    /// Until the elevation for payments ends.
    pub payments_left: Option<u64>,
}

async fn view(session: Session) -> Result<Json<SessionView>, SessionError> {
    let now = session.now();
    let since = |moment: Timestamp| millis(now.since(moment));
    let until = |moment: Timestamp| millis(moment.since(now));
    let mut view = SessionView {
        user: session.user().map(|user| user.to_string()),
        ended: session
            .end_reason()
            .map(|reason| reason.as_str().to_owned()),
        flagged: session.flagged().map(|change| change.as_str().to_owned()),
        cart: session.get(CART)?.unwrap_or_default(),
        elevated_left: session.elevated_until().map(until),
        payments_left: session.elevated_until_for::<Payments>().map(until),
        ..SessionView::default()
    };
    if let Some(info) = session.info() {
        view.handle = Some(info.handle.to_string());
        view.remembered = info.remembered;
        view.age = since(info.created_at);
        view.authenticated = info.authenticated_at.map(since);
        view.inactive = since(info.last_active_at);
        view.idle_left = until(info.idle_deadline);
        view.absolute_left = until(info.absolute_deadline);
    }
    Ok(Json(view))
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).expect("a short time")
}

async fn me(signed_in: Authenticated) -> String {
    signed_in.user().to_string()
}

async fn maybe(
    session: Option<Session>,
    signed_in: Option<Authenticated>,
    elevated: Option<Elevated>,
) -> String {
    let (session, signed_in, elevated) =
        (session.is_some(), signed_in.is_some(), elevated.is_some());
    format!("session {session}, signed in {signed_in}, elevated {elevated}")
}

async fn debug(
    session: Session,
    signed_in: Option<Authenticated>,
    elevated: Option<Elevated>,
    request: Request,
) -> String {
    let late = session.insert("", 0);
    format!(
        "{session:?} {signed_in:?} {elevated:?} {:?} {:?} {late:?} {:?} {:#?}",
        session.info(),
        session.user(),
        session.end_reason(),
        request.extensions()
    )
}

async fn cart(session: Session) -> Result<Json<Vec<u32>>, SessionError> {
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

async fn put(session: Session, Path((key, value)): Path<(String, String)>) -> Done {
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

/// A session in a list. Moments in milliseconds before or after the present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its public name.
    pub handle: String,
    /// Its user.
    pub user: Option<String>,
    /// It is the session of this request.
    pub current: bool,
    /// The name of its client, and its network.
    pub client: Option<String>,
    /// What is different about the device.
    pub flagged: Option<String>,
    /// Until the elevation ends.
    pub elevated_left: Option<u64>,
    /// Since it began.
    pub age: u64,
    /// Since the last activity.
    pub inactive: u64,
}

fn device(entry: SessionEntry, now: Timestamp) -> Device {
    Device {
        handle: entry.info.handle.to_string(),
        user: entry.user.map(|user| user.to_string()),
        current: entry.current,
        client: entry.client.map(|client| client.to_string()),
        flagged: entry.flagged.map(|change| change.as_str().to_owned()),
        elevated_left: entry.elevated_until.map(|until| millis(until.since(now))),
        age: millis(now.since(entry.info.created_at)),
        inactive: millis(now.since(entry.info.last_active_at)),
    }
}

fn table(entries: Vec<SessionEntry>, now: Timestamp) -> Json<Vec<Device>> {
    Json(
        entries
            .into_iter()
            .map(|entry| device(entry, now))
            .collect(),
    )
}

async fn devices(signed_in: Authenticated) -> Result<Json<Vec<Device>>, SessionError> {
    let entries = signed_in.list_sessions().await?;
    Ok(table(entries, signed_in.session().now()))
}

/// The number of sessions that were ended. Zero is answered with 404.
fn ended(receipt: &RevocationReport) -> Response {
    match receipt.ended.len() {
        0 => StatusCode::NOT_FOUND.into_response(),
        ended => ended.to_string().into_response(),
    }
}

async fn revoke(elevated: Elevated, Path(name): Path<String>) -> Result<Response, SessionError> {
    let Some(handle) = SessionHandle::parse(&name) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    Ok(ended(&elevated.revoke_session(handle).await?))
}

async fn revoke_others(elevated: Elevated) -> Result<String, SessionError> {
    let receipt = elevated.revoke_other_sessions().await?;
    Ok(receipt.ended.len().to_string())
}

async fn revoke_all(elevated: Elevated) -> Result<String, SessionError> {
    let receipt = elevated.revoke_all_sessions().await?;
    Ok(receipt.ended.len().to_string())
}

async fn change_password(elevated: Elevated) -> Result<String, SessionError> {
    let receipt = elevated.revoke_other_sessions().await?;
    elevated.session().regenerate()?;
    Ok(receipt.ended.len().to_string())
}

async fn confirm(signed_in: Authenticated) -> Done {
    signed_in.session().elevate()?;
    DONE
}

/// An event in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// What happened, with its detail.
    pub event: String,
    /// Of which session.
    pub session: Option<String>,
    /// Of which user.
    pub user: Option<String>,
    /// At whose setting, with the operator's name.
    pub actor: String,
    /// The correlator of the session's events.
    pub correlator: Option<String>,
    /// The client of the request.
    pub client: Option<String>,
}

fn lines(logged: Vec<Logged>) -> Json<Vec<LogLine>> {
    let events = logged.into_iter().map(|line| line.event.expect("an event"));
    let lines = events.map(|event| LogLine {
        event: [event.kind.as_str(), event.kind.detail().unwrap_or_default()].join(" "),
        session: event.session.map(|session| session.to_string()),
        user: event.user.map(|user| user.to_string()),
        actor: [
            event.actor.as_str(),
            event.actor.operator().unwrap_or_default(),
        ]
        .join(" "),
        correlator: event.correlator.map(|correlator| correlator.to_string()),
        client: event.client.map(|client| client.to_string()),
    });
    Json(lines.collect())
}

async fn history(signed_in: Authenticated) -> Result<Json<Vec<LogLine>>, SessionError> {
    Ok(lines(signed_in.history(1000).await?))
}

/// The application decides which users may do this.
async fn history_of_all(sessions: Sessions) -> Result<Json<Vec<LogLine>>, SessionError> {
    let everything = LogQuery {
        most: 1000,
        ..LogQuery::default()
    };
    Ok(lines(sessions.history(everything).await?))
}

async fn flagged(session: Session, sessions: Sessions) -> Result<Json<Vec<Device>>, SessionError> {
    Ok(table(sessions.flagged().await?, session.now()))
}

async fn devices_of(
    session: Session,
    sessions: Sessions,
    Path(user): Path<String>,
) -> Result<Json<Vec<Device>>, SessionError> {
    Ok(table(sessions.list(user).await?, session.now()))
}

async fn operator_revokes(
    sessions: Sessions,
    Path((user, name)): Path<(String, String)>,
) -> Result<Response, SessionError> {
    let Some(handle) = SessionHandle::parse(&name) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let sessions = sessions.as_operator("ops\nolga");
    Ok(ended(&sessions.revoke(user, handle).await?))
}

async fn operator_revokes_all_users(sessions: Sessions) -> Result<String, SessionError> {
    let sessions = sessions.as_operator("ops\nolga");
    Ok(sessions.revoke_everybody().await?.ended.len().to_string())
}

async fn operator_revokes_all(
    sessions: Sessions,
    Path(user): Path<String>,
) -> Result<String, SessionError> {
    let sessions = sessions.as_operator("ops\nolga");
    Ok(sessions.revoke_all(user).await?.ended.len().to_string())
}

async fn logout(session: Session) -> Done {
    session.terminate()?;
    DONE
}

async fn regenerate(session: Session) -> Done {
    session.regenerate()?;
    DONE
}

async fn elevate(session: Session) -> Done {
    session.elevate()?;
    DONE
}

async fn elevate_for_payments(session: Session) -> Done {
    session.elevate_for::<Payments>()?;
    DONE
}

async fn elevate_for_hostile(session: Session) -> Done {
    session.elevate_for::<Hostile>()?;
    DONE
}

async fn drop_elevation(session: Session) -> Result<String, SessionError> {
    Ok(session.drop_elevation()?.to_string())
}

async fn transfer(elevated: Elevated) -> String {
    elevated.user().to_string()
}

async fn pay(elevated: Elevated<Payments>) -> String {
    elevated.user().to_string()
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

async fn nested_read(session: Session) -> Result<String, SessionError> {
    let (inner, (send, receive)) = (session.clone(), std::sync::mpsc::channel());
    session.update(CART, move |cart| {
        let seen = (inner.get(CART).ok(), inner.user(), inner.contains("cart"));
        cart.push(9);
        // The receiver is dropped when the change is applied once more.
        let _ = send.send(format!("{seen:?}"));
    })?;
    Ok(receive.try_recv().expect("the function ran"))
}

async fn nested_write(session: Session) -> Result<String, SessionError> {
    let (inner, (send, receive)) = (session.clone(), std::sync::mpsc::channel());
    session.update(CART, move |cart| {
        cart.push(9);
        let refused = [
            inner.insert("inner", 1),
            inner.update("inner", |n: &mut u32| *n += 1),
            inner.remove("inner").map(drop),
            inner.authenticate("mallory"),
            inner.terminate(),
        ];
        let all = refused
            .iter()
            .all(|result| matches!(result, Err(SessionError::InsideUpdate)));
        let _ = send.send(all);
    })?;
    Ok(format!(
        "all refused: {}",
        receive.try_recv().expect("the function ran")
    ))
}

async fn nested_panic(session: Session) -> Done {
    session.insert("a", "b")?;
    session.update(CART, |_| panic!("the function panics, as configured"))?;
    DONE
}

/// The function panics when it is applied to a value that another request wrote.
async fn nested_panic_later(session: Session, Path(key): Path<String>) -> Done {
    let mut first = true;
    session.update(key, move |number: &mut u64| {
        assert!(first, "the function panics later, as configured");
        first = false;
        *number += 1;
    })?;
    DONE
}

/// Changes the session after the head of the response was sent.
async fn late(session: Session) -> Response {
    body_of(async move {
        let results = [
            session.insert("late", "x"),
            session.authenticate("mallory"),
            session.regenerate(),
            session.terminate(),
        ];
        format!("{results:?}")
    })
}

/// Commits the session after the head of the response was sent.
async fn late_commit(session: Session) -> Response {
    body_of(async move { format!("{:?}", session.commit().await) })
}

/// Loads the session after the head of the response was sent.
async fn late_load(request: Request) -> Response {
    body_of(async move {
        match Session::load(request.extensions()).await {
            Ok(session) => format!("{:?} {:?}", session.user(), session.regenerate()),
            Err(error) => format!("{error:?}"),
        }
    })
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

/// A value that changes the session while it is encoded.
struct Meddling(Session);

impl Serialize for Meddling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:?}", self.0.insert("inner", 1)))
    }
}

async fn nested_encode(session: Session) -> Result<String, SessionError> {
    session.insert("outer", Meddling(session.clone()))?;
    Ok(session.get("outer")?.unwrap_or_default())
}

async fn nested_commit(session: Session) -> Result<String, SessionError> {
    let (inner, (send, receive)) = (session.clone(), std::sync::mpsc::channel());
    session.update("n", move |_: &mut u32| {
        let mut commit = pin!(inner.commit());
        let polled = commit
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let _ = send.send(format!("{polled:?}"));
    })?;
    Ok(receive.recv().expect("the function ran"))
}

/// A body that is produced when it is polled.
fn body_of(text: impl Future<Output = String> + Send + 'static) -> Response {
    Body::new(LateBody(Some(Box::pin(text)))).into_response()
}

struct LateBody(Option<Pin<Box<dyn Future<Output = String> + Send>>>);

impl hyper::body::Body for LateBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(text) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let text = ready!(text.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}
