//! axum alone: the same routes and answers without sessions.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};

use super::{ignored, proof};

#[derive(Default)]
pub(super) struct Shared {
    payload: Mutex<String>,
    counter: AtomicU64,
}

impl Shared {
    pub(super) fn keep(&self, payload: String) {
        *self.payload.lock().unwrap_or_else(PoisonError::into_inner) = payload;
    }

    pub(super) fn proof(&self) -> String {
        proof(&self.payload.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn next(&self) -> String {
        (self.counter.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    }
}

pub(super) fn app() -> Router {
    Router::new()
        .route("/ignored", get(ignored))
        .route("/seed", post(seed))
        .route("/enter/{user}", post(enter))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(ignored))
        .route("/sessions", get(ignored))
        .route("/revoke-all/{user}", post(of_user))
        .with_state(Arc::default())
}

/// The same with a layer that does nothing, for what axum takes for any.
pub(super) fn app_with_layer() -> Router {
    app().layer(tower::layer::util::Identity::new())
}

async fn seed(State(shared): State<Arc<Shared>>, body: String) {
    shared.keep(body);
}

async fn enter(
    State(shared): State<Arc<Shared>>,
    Path(user): Path<String>,
    body: String,
) -> String {
    shared.keep(body);
    user
}

async fn read(State(shared): State<Arc<Shared>>) -> String {
    shared.proof()
}

async fn write(State(shared): State<Arc<Shared>>) -> String {
    shared.next()
}

async fn sign_in(State(shared): State<Arc<Shared>>, Path(user): Path<String>) -> String {
    format!("{user} {}", shared.proof())
}

async fn of_user(Path(_): Path<String>) -> &'static str {
    "ok"
}
