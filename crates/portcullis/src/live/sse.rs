//! Server-sent events that end with a session, and report its end.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use axum::response::sse::Event;
use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::{
    live::{Guarded, Lifeline, guarded::Next},
    reject::connection_ended::ConnectionEnded,
};

/// The name of the last event.
const SESSION_ENDED: &str = "session-ended";

impl Lifeline {
    /// Yields the events of `stream` until the session ends. A last event named `session-ended`
    /// then reports the end as JSON: `{"reason":"revoked_by_user","message":"…"}`.
    ///
    /// The response then ends without an error, so that this event is delivered. `EventSource`
    /// treats both alike: it connects again after some seconds, unless the page closes it. It gives
    /// up permanently if a new connection gets another status than 200: 401 after the end of the
    /// session, 503 during an outage. [The guide](crate::browser#event-streams) has a script that
    /// closes it, or opens it again.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use axum::response::sse::{Event, KeepAlive, Sse};
    /// # use futures_core::Stream;
    /// # use portcullis::Authenticated;
    /// # type Item = Result<Event, Infallible>;
    /// # fn news() -> impl Stream<Item = Item> { futures_util::stream::empty() }
    /// async fn events(
    ///     signed_in: Authenticated,
    /// ) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    ///     Sse::new(signed_in.lifeline().guard_events(news())).keep_alive(KeepAlive::default())
    /// }
    /// ```
    pub fn guard_events<S, E>(&self, stream: S) -> GuardedEvents<S>
    where
        S: Stream<Item = Result<Event, E>>,
    {
        GuardedEvents {
            guarded: self.guard(stream),
        }
    }
}

fn last(end: ConnectionEnded) -> Event {
    Event::default().event(SESSION_ENDED).data(end.to_json())
}

pin_project! {
    /// Events until their session ends, and a last one that reports the end. From
    /// [`Lifeline::guard_events`].
    #[must_use = "streams do nothing unless polled"]
    pub struct GuardedEvents<S> {
        #[pin]
        guarded: Guarded<S>,
    }
}

impl<S, E> Stream for GuardedEvents<S>
where
    S: Stream<Item = Result<Event, E>>,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut guarded = self.project().guarded;
        guarded.as_mut().poll_step(cx).map(|next| match next {
            Next::Item(event) => Some(event),
            Next::Ended => guarded.ended().map(|end| Ok(last(end))),
            Next::Nothing => None,
        })
    }
}

impl<S> fmt::Debug for GuardedEvents<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedEvents").finish_non_exhaustive()
    }
}
