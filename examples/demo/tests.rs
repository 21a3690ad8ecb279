//! The shop, as a browser uses it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
};
use http_body_util::BodyExt;
use portcullis::{MemoryStore, SessionLayer, UserId, store::ManualClock};
use tower::ServiceExt;

use crate::{app::app, limits::limited, timeouts, users::Users};

/// Keeps the cookie, and the text of the last page.
#[derive(Clone)]
struct Browser {
    shop: Router,
    cookie: Option<String>,
    page: String,
    /// The deadlines in its header.
    deadlines: Option<String>,
}

impl Browser {
    fn new(store: MemoryStore) -> Self {
        Self::of(SessionLayer::new(store))
    }

    /// With the limits of the document.
    fn with_document(store: MemoryStore) -> Self {
        Self::of(limited(SessionLayer::new(store), None).unwrap())
    }

    fn of(sessions: SessionLayer) -> Self {
        Self {
            shop: app(sessions, Users::new().unwrap()).unwrap(),
            cookie: None,
            page: String::new(),
            deadlines: None,
        }
    }

    async fn get(&mut self, path: &str) -> (StatusCode, String) {
        self.send(Method::GET, path, "", "same-origin").await
    }

    async fn post(&mut self, path: &str, form: &str) -> (StatusCode, String) {
        self.send(Method::POST, path, form, "same-origin").await
    }

    /// The status, and the target of a redirection.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: &str,
        site: &str,
    ) -> (StatusCode, String) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", site)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Body::from(form.to_owned())).unwrap();
        let response = self.shop.clone().oneshot(request).await.unwrap();
        let field = |name| text(&response, name);
        if let Some(cookie) = field(header::SET_COOKIE) {
            let removed = cookie.contains("Max-Age=0");
            let pair = cookie.split(';').next().map(str::to_owned);
            self.cookie = pair.filter(|_| !removed);
        }
        let answer = (
            response.status(),
            field(header::LOCATION).unwrap_or_default(),
        );
        self.deadlines = field(header::HeaderName::from_static("session-timeout"));
        assert!(field(header::CONTENT_SECURITY_POLICY).is_some());
        assert_eq!(
            field(header::RETRY_AFTER).is_some(),
            response.status() == StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(
            field(header::WWW_AUTHENTICATE).is_some(),
            response.status() == StatusCode::UNAUTHORIZED
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        self.page = String::from_utf8(body.into()).unwrap();
        answer
    }

    async fn sign_in(&mut self) {
        let answer = self
            .post("/sign-in", "name=ada&password=analytical+engine")
            .await;
        assert_eq!(answer, to("/account"));
    }

    fn shows(&self, text: &str) -> bool {
        self.page.contains(text)
    }
}

fn text(response: &Response<Body>, name: header::HeaderName) -> Option<String> {
    Some(response.headers().get(name)?.to_str().unwrap().to_owned())
}

fn to(place: &str) -> (StatusCode, String) {
    (StatusCode::SEE_OTHER, place.to_owned())
}

fn page(status: StatusCode) -> (StatusCode, String) {
    (status, String::new())
}

#[tokio::test]
async fn reading_pages_stores_nothing() {
    let store = MemoryStore::new();
    let mut browser = Browser::new(store.clone());
    for path in [
        "/",
        "/cart",
        "/sign-in",
        "/signed-out",
        "/style.css",
        "/icon.svg",
    ] {
        assert_eq!(browser.get(path).await, page(StatusCode::OK), "{path}");
        assert_eq!(browser.cookie, None, "{path}");
    }
    assert_eq!(store.live(), 0);
}

#[tokio::test]
async fn a_cart_survives_signing_in_under_a_new_identifier() {
    let mut browser = Browser::new(MemoryStore::new());
    assert_eq!(browser.post("/cart", "product=2").await, to("/cart"));
    let mut copy = browser.clone();
    browser.sign_in().await;
    assert_ne!(browser.cookie, copy.cookie);
    browser.get("/cart").await;
    assert!(browser.shows("Gatehouse lantern"));
    // A copy of the old identifier opens nothing.
    copy.get("/cart").await;
    assert!(copy.shows("There is nothing in it yet"));
    assert_eq!(
        copy.post("/cart", "product=2").await,
        page(StatusCode::UNAUTHORIZED)
    );
    assert!(copy.shows("That session has ended"));
}

#[tokio::test]
async fn a_password_is_changed_in_elevated_mode_only() {
    let clock = ManualClock::new();
    let mut browser = Browser::new(MemoryStore::with_clock(&clock));
    let new = "password=a+whole+new+password&again=a+whole+new+password";
    assert_eq!(
        browser.get("/account/password").await,
        to("/sign-in?return_to=/account/password")
    );
    browser.sign_in().await;
    assert_eq!(
        browser.post("/account/password", new).await.0,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        browser.get("/account/password").await,
        to("/confirm?scope=general&return_to=/account/password")
    );
    let wrong = browser.post("/confirm", "password=wrong").await;
    assert_eq!(wrong, page(StatusCode::UNPROCESSABLE_ENTITY));

    // It ends at a fixed time.
    let right = "password=analytical+engine&return_to=/account/password";
    assert_eq!(
        browser.post("/confirm", right).await,
        to("/account/password")
    );
    for _ in 0..14 {
        clock.advance(Duration::from_secs(60));
        let answer = browser.get("/account/password").await;
        assert_eq!(answer, page(StatusCode::OK));
    }
    clock.advance(Duration::from_secs(61));
    assert_eq!(
        browser.get("/account/password").await.0,
        StatusCode::SEE_OTHER
    );

    browser.post("/confirm", right).await;
    let elevated = browser.cookie.clone();
    assert_eq!(browser.post("/account/password", new).await, to("/account"));
    assert_ne!(browser.cookie, elevated);
    assert_eq!(
        browser.get("/account/password").await.0,
        StatusCode::SEE_OTHER
    );

    assert_eq!(
        browser.post("/session/sign-out", "").await,
        to("/signed-out")
    );
    let old = browser
        .post("/sign-in", "name=ada&password=analytical+engine")
        .await;
    assert_eq!(old, page(StatusCode::UNPROCESSABLE_ENTITY));
    let new = browser
        .post("/sign-in", "name=ada&password=a+whole+new+password")
        .await;
    assert_eq!(new, to("/account"));
}

#[tokio::test]
async fn s110_the_sign_in_page_shows_how_long_a_user_stays_signed_in() {
    for (sessions, text) in [
        (
            SessionLayer::new(MemoryStore::new()),
            "after 30 minutes without activity, and 24 hours after you sign in at the latest.",
        ),
        (
            SessionLayer::new(MemoryStore::new()).timeouts(timeouts("90,600,60").unwrap()),
            "after 1 minute and 30 seconds without activity, and 10 minutes after you sign in at the latest.",
        ),
    ] {
        let mut browser = Browser::of(sessions);
        browser.get("/sign-in").await;
        assert!(browser.shows(text), "{text}");
    }
}

#[tokio::test]
async fn a_page_has_the_fingerprint_of_its_user() {
    let mut browser = Browser::new(MemoryStore::new());
    browser.sign_in().await;
    browser.get("/account").await;
    let ada = UserId::from(1).fingerprint();
    assert!(browser.shows(&format!(r#"<portcullis-timeout user="{ada}">"#)));
    browser.get("/").await;
    assert!(!browser.shows("portcullis-timeout"));
}

#[tokio::test]
async fn each_response_for_which_the_session_was_loaded_has_the_deadlines() {
    let clock = ManualClock::new();
    let mut browser = Browser::new(MemoryStore::with_clock(&clock));
    browser.sign_in().await;
    browser.get("/account").await;
    assert_eq!(
        browser.deadlines.as_deref(),
        Some("idle=1800, absolute=86400")
    );
    browser.post("/confirm", "password=analytical+engine").await;
    let deadlines = "idle=1800, absolute=86400, elevated=900";
    assert_eq!(browser.deadlines.as_deref(), Some(deadlines));
    browser.get("/").await;
    assert_eq!(browser.deadlines, None);
}

#[tokio::test]
async fn t61_no_user_confirms_for_another() {
    let mut browser = Browser::new(MemoryStore::new());
    browser.sign_in().await;
    let other = "name=grace&username=grace&password=nanoseconds+of+wire";
    let answer = browser.post("/confirm", other).await;
    assert_eq!(answer, page(StatusCode::UNPROCESSABLE_ENTITY));
    assert_eq!(browser.post("/sign-in", other).await, to("/account"));
    browser.get("/account").await;
    assert!(browser.shows("Hello, ada"));
}

#[tokio::test]
async fn a_copy_of_the_cookie_is_dead_after_signing_out() {
    let mut browser = Browser::new(MemoryStore::new());
    browser.sign_in().await;
    let mut thief = browser.clone();
    assert_eq!(
        browser.post("/session/sign-out", "").await,
        to("/signed-out")
    );
    assert_eq!(browser.cookie, None);
    assert_eq!(
        thief.get("/account").await,
        to("/sign-in?return_to=/account")
    );
    thief.get("/sign-in").await;
    assert!(thief.shows("You signed out"));
}

#[tokio::test]
async fn a_device_is_ended_from_another_and_shows_the_reason() {
    let store = MemoryStore::new();
    let shop = Browser::new(store);
    let (mut desk, mut phone, mut tablet) = (shop.clone(), shop.clone(), shop);
    for device in [&mut desk, &mut phone, &mut tablet] {
        device.sign_in().await;
    }
    desk.get("/account/devices").await;
    assert!(desk.shows("this device") && desk.shows("Enter your password to end a session"));
    assert_eq!(
        desk.get("/account/devices/manage").await,
        to("/confirm?scope=general&return_to=/account/devices/manage")
    );
    let form = "password=analytical+engine&return_to=/account/devices/manage";
    desk.post("/confirm", form).await;
    assert_eq!(
        desk.get("/account/devices/manage").await,
        to("/account/devices")
    );

    desk.get("/account/devices").await;
    let handles: Vec<_> = desk
        .page
        .split(r#"name="device" value=""#)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(handles.len(), 2);
    let end = format!("device={}", handles.first().unwrap());
    assert_eq!(
        desk.post("/account/devices/end", &end).await,
        to("/account/devices")
    );
    let answers = [phone.get("/account").await, tablet.get("/account").await];
    let live = page(StatusCode::OK);
    assert_eq!(answers.iter().filter(|answer| **answer == live).count(), 1);

    assert_eq!(
        desk.post("/account/devices/end", &end).await,
        page(StatusCode::NOT_FOUND)
    );
    assert_eq!(
        desk.post("/account/devices/end-others", "").await,
        to("/account/devices")
    );
    for device in [&mut phone, &mut tablet] {
        assert_eq!(
            device.get("/account").await,
            to("/sign-in?return_to=/account")
        );
        device.get("/sign-in").await;
        assert!(device.shows("You were signed out from another of your devices."));
    }
    desk.get("/account/activity").await;
    assert!(desk.shows("Ended: revoked by user") && desk.shows("Password confirmed"));
}

#[tokio::test]
async fn a_device_of_another_user_is_not_found() {
    let shop = Browser::new(MemoryStore::new());
    let (mut ada, mut grace) = (shop.clone(), shop);
    ada.sign_in().await;
    let answer = grace
        .post("/sign-in", "name=grace&password=nanoseconds+of+wire")
        .await;
    assert_eq!(answer, to("/account"));
    grace.get("/account").await;
    let panel = grace.page.split("<code>").nth(1).unwrap().to_owned();
    let handle = panel.split('<').next().unwrap();
    ada.post("/confirm", "password=analytical+engine").await;
    for device in [handle, "AAAAAAAAAAAAAAAA", "nonsense"] {
        let answer = ada
            .post("/account/devices/end", &format!("device={device}"))
            .await;
        assert_eq!(answer, page(StatusCode::NOT_FOUND));
    }
    assert_eq!(grace.get("/account").await, page(StatusCode::OK));
    // The invalid name is not searched for. Refusals are written into the log in the background.
    for _ in 0..1000 {
        ada.get("/account/activity").await;
        if ada.shows("×2 since") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the page does not show two refusals in one line");
}

#[tokio::test]
async fn a_new_password_signs_out_everywhere_else() {
    let shop = Browser::new(MemoryStore::new());
    let (mut here, mut there) = (shop.clone(), shop);
    here.sign_in().await;
    there.sign_in().await;
    here.post("/confirm", "password=analytical+engine").await;
    let new = "password=a+whole+new+password&again=a+whole+new+password";
    assert_eq!(here.post("/account/password", new).await, to("/account"));
    assert_eq!(here.get("/account").await, page(StatusCode::OK));
    assert_eq!(
        there.get("/account").await,
        to("/sign-in?return_to=/account")
    );
}

#[tokio::test]
async fn typed_text_is_checked_kept_and_escaped() {
    let mut browser = Browser::new(MemoryStore::new());
    browser.post("/cart", "product=1").await;
    for quantity in ["11", "-1", "1.5", "", "%22%3E%3Cscript%3E"] {
        let form = format!("product=1&quantity={quantity}");
        let answer = browser.post("/cart/quantity", &form).await;
        assert_eq!(answer, page(StatusCode::UNPROCESSABLE_ENTITY));
        assert!(browser.shows("quantity-1-error") && !browser.shows("<script>"));
    }
    let unknown = browser.post("/cart", "product=99").await;
    assert_eq!(unknown, page(StatusCode::NOT_FOUND));
    let no_number = browser.post("/cart", "product=x").await;
    assert_eq!(no_number, page(StatusCode::UNPROCESSABLE_ENTITY));
    assert!(browser.shows("<h1>That could not be read</h1>"));
    let name = "name=%22%3E%3Cscript%3E&password=x";
    browser.post("/sign-in", name).await;
    assert!(browser.shows("&quot;&gt;&lt;script&gt;"));
    for _ in 0..12 {
        browser.post("/cart", "product=1").await;
    }
    browser.get("/cart").await;
    assert!(browser.shows(r#"value="10""#));
}

#[tokio::test]
async fn signing_in_leads_to_this_site_only() {
    for hostile in ["https://evil.example", "//evil.example", "/%5Cevil.example"] {
        let mut browser = Browser::new(MemoryStore::new());
        let form = format!("name=ada&password=analytical+engine&return_to={hostile}");
        assert_eq!(browser.post("/sign-in", &form).await, to("/account"));
    }
}

#[tokio::test]
async fn a_form_from_another_site_does_nothing() {
    let mut browser = Browser::new(MemoryStore::new());
    browser.sign_in().await;
    let forged = browser
        .send(Method::POST, "/session/sign-out", "", "cross-site")
        .await;
    assert_eq!(forged, page(StatusCode::FORBIDDEN));
    assert!(browser.shows("Sent from another site"));
    assert_eq!(browser.get("/account").await, page(StatusCode::OK));
}

#[tokio::test]
async fn a_store_that_cannot_write_gets_a_page() {
    let mut browser = Browser::new(MemoryStore::new().with_capacity(0));
    let answer = browser.post("/cart", "product=1").await;
    assert_eq!(answer, page(StatusCode::SERVICE_UNAVAILABLE));
    assert!(browser.shows("Sessions are unavailable"));
    assert_eq!(browser.get("/").await, page(StatusCode::OK));
}

#[tokio::test]
async fn a_program_gets_the_problem_document() {
    let shop = Browser::new(MemoryStore::new()).shop;
    let request = Request::get("/account").header(header::ACCEPT, "application/json");
    let response = shop
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let kind = text(&response, header::CONTENT_TYPE);
    assert_eq!(kind.as_deref(), Some("application/problem+json"));
}

const ADMINISTRATOR: &str = "name=margaret&password=guidance+software";

#[tokio::test]
async fn an_administrator_has_tighter_limits_and_ends_the_sessions_of_a_user() {
    let store = MemoryStore::new();
    let mut ada = Browser::with_document(store.clone());
    ada.sign_in().await;
    let mut browser = Browser::with_document(store);
    let answer = browser.post("/sign-in", ADMINISTRATOR).await;
    assert_eq!(answer, to("/account"));
    assert_eq!(browser.get("/account").await, page(StatusCode::OK));
    for rule in [
        "15m, class.administrator.idle",
        "8h, class.administrator.absolute",
    ] {
        assert!(browser.shows(rule), "{rule}");
    }
    assert_eq!(browser.get("/operations").await, page(StatusCode::OK));
    assert!(browser.shows("End all sessions of ada"));
    let answer = browser.post("/operations/end", "user=ada").await;
    assert_eq!(answer, to("/operations"));
    let sign_in = to("/sign-in?return_to=/account");
    assert_eq!(ada.get("/account").await, sign_in);
    assert_eq!(browser.get("/operations").await, page(StatusCode::OK));
    assert!(browser.shows("All sessions of the user have been ended."));
}

#[tokio::test]
async fn the_operations_page_asks_for_a_recent_password_and_others_do_not_keep_it_open() {
    let clock = ManualClock::new();
    let mut browser = Browser::with_document(MemoryStore::with_clock(&clock));
    browser.post("/sign-in", ADMINISTRATOR).await;
    for _ in 0..5 {
        clock.advance(Duration::from_secs(60));
        assert_eq!(browser.get("/account").await, page(StatusCode::OK));
    }
    let confirm = to("/confirm?scope=general&return_to=/operations");
    assert_eq!(browser.get("/operations").await, confirm);
    let confirmed = "password=guidance+software&return_to=%2Foperations";
    assert_eq!(browser.post("/confirm", confirmed).await, to("/operations"));
    assert_eq!(browser.get("/operations").await, page(StatusCode::OK));
}

#[tokio::test]
async fn the_operations_page_does_not_exist_for_others() {
    let mut browser = Browser::with_document(MemoryStore::new());
    let sign_in = to("/sign-in?return_to=/operations");
    assert_eq!(browser.get("/operations").await, sign_in);
    browser.sign_in().await;
    assert_eq!(
        browser.get("/operations").await,
        page(StatusCode::NOT_FOUND)
    );
    let answer = browser.post("/operations/end", "user=ada").await;
    assert_eq!(answer, page(StatusCode::NOT_FOUND));
    assert!(!browser.shows("href=\"/operations\""));
}

const TWO_MINUTES: &str = "document=schema+%3D+1%0A%5Blimits%5D%0Aidle+%3D+%272m%27%0A%5Bclass.administrator%5D%0A\
     idle+%3D+%2715m%27%0A%5Bdemand.operations%5D%0A\
     max_auth_age+%3D+%2710m%27&reason=test";

#[tokio::test]
async fn an_administrator_sees_what_a_document_would_end_before_it_is_activated() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock);
    let mut ada = Browser::with_document(store.clone());
    ada.sign_in().await;
    clock.advance(Duration::from_secs(180));
    let mut browser = Browser::with_document(store);
    browser.post("/sign-in", ADMINISTRATOR).await;
    assert_eq!(
        browser.get("/operations/policy").await,
        page(StatusCode::OK)
    );
    assert!(browser.shows("No document is active"));
    let answer = browser.post("/operations/policy/plan", TWO_MINUTES).await;
    assert_eq!(answer, page(StatusCode::OK));
    assert!(browser.shows("1 of 2 live sessions would end now."));
    let activate = |most: u32| format!("{TWO_MINUTES}&expected=&ends_at_most={most}");
    let answer = browser.post("/operations/policy", &activate(0)).await;
    assert_eq!(answer, page(StatusCode::UNPROCESSABLE_ENTITY));
    assert!(browser.shows("it may end 0"));
    let answer = browser.post("/operations/policy", &activate(1)).await;
    assert_eq!(answer, to("/operations/policy"));
    assert_eq!(
        browser.get("/operations/policy").await,
        page(StatusCode::OK)
    );
    assert!(browser.shows("margaret") && browser.shows("The document is active."));
    // The other process learns of it with its next question to the store.
    let answer = browser.post("/operations/policy", &activate(1)).await;
    assert_eq!(answer, page(StatusCode::CONFLICT));
    let broken = browser.post("/operations/policy/plan", "document=idle&expected=1");
    assert_eq!(broken.await, page(StatusCode::UNPROCESSABLE_ENTITY));
}
