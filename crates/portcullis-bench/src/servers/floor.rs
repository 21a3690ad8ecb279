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
struct Shared {
    payload: Mutex<String>,
    counter: AtomicU64,
}

impl Shared {
    fn proof(&self) -> String {
        proof(&self.payload.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) fn app() -> Router {
    Router::new()
        .route("/ignored", get(ignored))
        .route("/seed", post(seed))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/sign-in/{user}", post(sign_in))
        .with_state(Arc::default())
}

async fn seed(State(shared): State<Arc<Shared>>, body: String) {
    *shared
        .payload
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = body;
}

async fn read(State(shared): State<Arc<Shared>>) -> String {
    shared.proof()
}

async fn write(State(shared): State<Arc<Shared>>) -> String {
    (shared.counter.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}

async fn sign_in(State(shared): State<Arc<Shared>>, Path(user): Path<String>) -> String {
    format!("{user} {}", shared.proof())
}
