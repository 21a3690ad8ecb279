//! A site that others link to, embed and post to, for the scenes of `cross-site.test.mjs`.
//!
//! `/lax` and `/strict` have the same routes, with cookies of their own.
#![allow(clippy::print_stdout, reason = "it prints its address")]

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use portcullis::{
    Authenticated, CookieConfig, Key, MemoryStore, Session, SessionError, SessionLayer,
    cookie::SameSite, route::CrossSiteSignInLayer,
};
use tokio::net::TcpListener;

const VISITS: Key<u32> = Key::new("visits");
const STATE: &str = "__Host-state=of-this-browser";

/// Writes at each visit.
async fn count(session: Session) -> Result<Html<String>, SessionError> {
    session.update(VISITS, |visits| *visits += 1)?;
    let visits = session.get(VISITS)?.unwrap_or_default();
    let user = session
        .user()
        .map_or("anonymous".into(), |user| user.to_string());
    Ok(Html(format!("<!doctype html><p>{user}, visit {visits}")))
}

async fn account(me: Authenticated) -> Html<String> {
    Html(format!("<!doctype html><p>account of {}", me.user()))
}

async fn sign_in(session: Session) -> Result<Redirect, SessionError> {
    session.authenticate("alice")?;
    Ok(Redirect::to("account"))
}

/// The response of an identity provider. It has a cookie for its own state, since the session's cookie does
/// not come along.
async fn callback(session: Session, headers: HeaderMap) -> Result<Response, SessionError> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
    if !cookies.any(|cookies| cookies.split("; ").any(|cookie| cookie == STATE)) {
        return Ok((StatusCode::BAD_REQUEST, "This browser started no sign-in.").into_response());
    }
    session.authenticate("bob")?;
    Ok(Redirect::to("account").into_response())
}

/// The start of a sign-in at an identity provider.
async fn depart() -> Response {
    let cookie = format!("{STATE}; Secure; HttpOnly; Path=/; SameSite=None");
    (
        [(header::SET_COOKIE, cookie)],
        Html("<!doctype html><p>departed"),
    )
        .into_response()
}

async fn form() -> Html<&'static str> {
    Html("<!doctype html><form method=post action=sign-in><button>Sign in</button></form>")
}

fn site(name: &'static str, same_site: SameSite) -> Router {
    let callback = Router::new()
        .route("/callback", post(callback))
        .route_layer(CrossSiteSignInLayer::new());
    let cookie = CookieConfig::builder().name(name).same_site(same_site);
    let layer = SessionLayer::new(MemoryStore::new());
    Router::new()
        .route("/form", get(form))
        .route("/sign-in", post(sign_in))
        .route("/count", get(count).post(count))
        .route("/account", get(account))
        .route(
            "/paid",
            post(|_: Session| async { Redirect::to("account") }),
        )
        .route("/depart", get(depart))
        .merge(callback)
        .layer(layer.cookie(cookie.build().unwrap_or_default()))
}

/// The header fields of a careful application.
async fn strict_policy(mut response: Response) -> Response {
    let policy = "default-src 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'";
    let policy = HeaderValue::from_static(policy);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .nest("/lax", site("__Host-lax", SameSite::Lax))
        .nest("/strict", site("__Host-strict", SameSite::Strict))
        .layer(map_response(strict_policy));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    println!("Listening on http://localhost:{port}");
    axum::serve(listener, app).await
}
