//! A line that stays open: how many windows of the same person are open right now. It closes with the
//! session, wherever that is ended, and the page asks at once why.

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

/// How many windows each person has open.
#[derive(Clone)]
pub(crate) struct Windows(Arc<watch::Sender<HashMap<UserId, usize>>>);

impl Windows {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(HashMap::new())))
    }

    async fn serve(self, user: UserId, mut socket: SessionWebSocket) {
        let _open = Open::count(&self.0, user.clone());
        let mut windows = self.0.subscribe();
        windows.mark_changed();
        let mut told = 0;
        loop {
            tokio::select! {
                changed = windows.changed() => {
                    let count = windows.borrow_and_update().get(&user).copied().unwrap_or(0);
                    if changed.is_err() {
                        return;
                    }
                    // Most changes are of other people's windows.
                    if count != told && socket.send(Message::text(count.to_string())).await.is_err() {
                        return;
                    }
                    told = count;
                }
                // Nothing is expected from the page, but that it goes away.
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
