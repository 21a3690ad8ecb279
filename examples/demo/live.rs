//! A line that stays open: how many windows of people who are signed in are open right now. It closes with the
//! session, wherever that is ended, and the page asks at once why.

use std::sync::Arc;

use axum::{
    extract::{State, ws::Message},
    response::{IntoResponse, Response},
};
use portcullis::{Authenticated, SessionSocket, SessionWebSocket};
use tokio::sync::watch;

use crate::page;

/// How many windows are open.
#[derive(Clone)]
pub(crate) struct Windows(Arc<watch::Sender<usize>>);

impl Windows {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    async fn serve(self, mut socket: SessionWebSocket) {
        let _open = Open::count(&self.0);
        let mut windows = self.0.subscribe();
        windows.mark_changed();
        loop {
            tokio::select! {
                changed = windows.changed() => {
                    let count = *windows.borrow_and_update();
                    let sent = socket.send(Message::text(count.to_string())).await;
                    if changed.is_err() || sent.is_err() {
                        return;
                    }
                }
                // Nothing is expected from the page, but that it goes away.
                said = socket.recv() => if !matches!(said, Some(Ok(_))) { return },
            }
        }
    }
}

/// A window, until it is closed.
struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn count(windows: &Arc<watch::Sender<usize>>) -> Self {
        windows.send_modify(|count| *count += 1);
        Self(Arc::clone(windows))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

pub(crate) async fn connect(
    socket: SessionSocket<Authenticated>,
    State(windows): State<Windows>,
) -> Response {
    socket.on_upgrade(async move |socket| windows.serve(socket).await)
}

pub(crate) async fn script() -> impl IntoResponse {
    page::script(include_str!("live.js"))
}
