//! The routes and their layers.

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, header},
    middleware, routing,
};
use portcullis::{ConfigError, SessionLayer};
use tower_http::{csrf::CsrfLayer, set_header::SetResponseHeaderLayer};

use crate::{
    account, activity, cart, catalogue, confirm, devices, error, letter, live,
    news::{self, News},
    operations, page, policy, sign_in,
    users::Users,
};

/// A letter of 2000 characters takes up to 18 000 bytes: three of UTF-8 for each, each sent as
/// `%E6`.
const LARGEST_FORM: usize = 32 * 1024;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
     style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// The shop. A layer wraps everything that is added before it.
pub(crate) fn app(sessions: SessionLayer, users: Users) -> Result<Router, ConfigError> {
    let (news, windows) = (News::new(), live::Windows::new());
    let sessions = sessions
        .audit(news.clone())
        .session_timeout_header()
        .sign_in_page("/sign-in")?
        .reauthentication_page("/confirm")?;
    let session_routes = sessions.routes().after_sign_out("/signed-out")?;
    Ok(Router::new()
        .route("/", routing::get(catalogue::show))
        .route("/cart", routing::get(cart::show).post(cart::add))
        .route("/cart/quantity", routing::post(cart::set_quantity))
        .route(
            "/sign-in",
            routing::get(sign_in::form).post(sign_in::submit),
        )
        .nest("/session", session_routes.into_router())
        .route("/signed-out", routing::get(sign_in::signed_out))
        .route("/account", routing::get(account::show))
        .route(
            "/account/password",
            routing::get(account::password_form).post(account::change_password),
        )
        .route("/account/devices", routing::get(devices::show))
        .route("/account/devices/manage", routing::get(devices::manage))
        .route("/account/devices/end", routing::post(devices::end))
        .route(
            "/account/devices/end-others",
            routing::post(devices::end_others),
        )
        .route("/account/activity", routing::get(activity::show))
        .route(
            "/account/letter",
            routing::get(letter::form).post(letter::send),
        )
        .route(
            "/confirm",
            routing::get(confirm::form).post(confirm::submit),
        )
        .route("/confirm/end", routing::post(confirm::leave))
        .route("/operations", routing::get(operations::show))
        .route("/operations/end", routing::post(operations::end))
        .route(
            "/operations/policy",
            routing::get(policy::show).post(policy::apply),
        )
        .route("/operations/policy/plan", routing::post(policy::plan))
        .route("/live.js", routing::get(live::script))
        .route("/news.js", routing::get(news::script))
        .route("/style.css", routing::get(page::style))
        .route("/icon.svg", routing::get(page::icon))
        .with_state(users)
        .route(
            "/account/activity/news",
            routing::get(news::follow).with_state(news),
        )
        .route(
            "/live",
            routing::any(live::connect).with_state(windows.clone()),
        )
        .layer(Extension(windows))
        .layer(Extension(sessions.policies()))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(sessions)
        // With `SameSite=Lax` forged POSTs have no cookie. This layer refuses them as well.
        .layer(CsrfLayer::new())
        .layer(middleware::from_fn(error::pages_for_browsers))
        .layer(with(
            header::CONTENT_SECURITY_POLICY,
            CONTENT_SECURITY_POLICY,
        ))
        .layer(with(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(with(header::REFERRER_POLICY, "same-origin")))
}

fn with(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}
