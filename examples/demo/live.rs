//! A WebSocket that sends the number of open windows of the same user, and `limits` when an
//! administrator has changed the limits of sessions. It closes with the session, on any server, and
//! the page then loads the reason at once.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{State, ws::Message},
    response::{IntoResponse, Response},
};
use portcullis::{
    Authenticated, UserId,
    live::{SessionSocket, SessionWebSocket},
};
use tokio::sync::watch;

use crate::page;

/// The number of open windows of each user, and how often the limits have changed.
#[derive(Clone)]
pub(crate) struct Windows {
    open: Arc<watch::Sender<HashMap<UserId, usize>>>,
    limits: Arc<watch::Sender<u64>>,
}

impl Windows {
    pub(crate) fn new() -> Self {
        Self {
            open: Arc::default(),
            limits: Arc::default(),
        }
    }

    /// Has all pages ask for the deadlines of their session.
    pub(crate) fn limits_changed(&self) {
        self.limits.send_modify(|changes| *changes += 1);
    }

    async fn serve(self, user: UserId, mut socket: SessionWebSocket) {
        let _open = Open::count(&self.open, user.clone());
        let (mut windows, mut limits) = (self.open.subscribe(), self.limits.subscribe());
        windows.mark_changed();
        let mut sent = 0;
        loop {
            tokio::select! {
                changed = windows.changed() => {
                    let count = windows.borrow_and_update().get(&user).copied().unwrap_or(0);
                    if changed.is_err() {
                        return;
                    }
                    // Most changes are of windows of other users.
                    if count != sent && socket.send(Message::text(count.to_string())).await.is_err() {
                        return;
                    }
                    sent = count;
                }
                changed = limits.changed() => {
                    if changed.is_err() || socket.send(Message::text("limits")).await.is_err() {
                        return;
                    }
                }
                // The page sends nothing. It only closes the socket.
                said = socket.recv() => if !matches!(said, Some(Ok(_))) { return },
            }
        }
    }
}

/// A window, until it is closed.
struct Open {
    windows: Arc<watch::Sender<HashMap<UserId, usize>>>,
    user: UserId,
}

impl Open {
    fn count(windows: &Arc<watch::Sender<HashMap<UserId, usize>>>, user: UserId) -> Self {
        windows.send_modify(|windows| *windows.entry(user.clone()).or_default() += 1);
        let windows = Arc::clone(windows);
        Self { windows, user }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.windows.send_modify(|windows| {
            if let Some(count) = windows.get_mut(&self.user) {
                *count -= 1;
                if *count == 0 {
                    windows.remove(&self.user);
                }
            }
        });
    }
}

pub(crate) async fn connect(
    socket: SessionSocket<Authenticated>,
    State(windows): State<Windows>,
) -> Response {
    let user = socket.guard().user().clone();
    socket.on_upgrade(async move |socket| windows.serve(user, socket).await)
}

pub(crate) async fn script() -> impl IntoResponse {
    page::script(include_str!("live.js"))
}
