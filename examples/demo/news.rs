//! The events of the user's sessions as server-sent events, in a stream that ends with the session.

use axum::{
    extract::State,
    response::{
        IntoResponse,
        sse::{Event as Message, KeepAlive, Sse},
    },
};
use futures_util::stream;
use portcullis::{
    Authenticated,
    audit::{Audit, Event, TracingAudit},
};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{activity, page};

/// The number of events that a window may lag behind before it misses some.
const WAITING: usize = 64;

/// Sends every event of this server to the windows that show it, and to the log.
#[derive(Clone)]
pub(crate) struct News(broadcast::Sender<Event>);

impl News {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }
}

impl Audit for News {
    fn record(&self, event: &Event) {
        TracingAudit::default().record(event);
        // There may be no window.
        let _ = self.0.send(event.clone());
    }
}

pub(crate) async fn follow(
    signed_in: Authenticated,
    State(news): State<News>,
) -> impl IntoResponse {
    let user = signed_in.user().clone();
    let current = signed_in.session().info().map(|info| info.handle);
    let events = stream::unfold(news.0.subscribe(), move |mut news| {
        let user = user.clone();
        async move {
            loop {
                match news.recv().await {
                    Ok(event) if event.user.as_ref() == Some(&user) => {
                        let message = Message::default().json_data(activity::row(&event, current));
                        return Some((message, news));
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        }
    });
    Sse::new(signed_in.lifeline().guard_events(events)).keep_alive(KeepAlive::default())
}

pub(crate) async fn script() -> impl IntoResponse {
    page::script(include_str!("news.js"))
}
