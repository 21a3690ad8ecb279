//! Streams and bodies that end with a session.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{
    live::{Lifeline, lifeline::Waiting},
    reject::connection_ended::ConnectionEnded,
};

pin_project! {
    /// A stream that ends with a session: its items, and then an error. From [`Lifeline::guard`].
    #[must_use = "streams do nothing unless polled"]
    pub struct Guarded<S> {
        // `None` after the end, so that the resources of the stream are released.
        #[pin]
        stream: Option<S>,
        watch: Option<Waiting>,
        end: Option<ConnectionEnded>,
    }
}

/// The next step of the stream.
pub(super) enum Next<T> {
    Item(T),
    Ended,
    Nothing,
}

impl<S: Stream> Guarded<S> {
    pub(super) fn new(lifeline: &Lifeline, stream: S) -> Self {
        Self {
            stream: Some(stream),
            watch: Some(lifeline.waiting()),
            end: None,
        }
    }

    pub(super) fn poll_step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next<S::Item>> {
        let mut this = self.project();
        let Some(watch) = this.watch else {
            return Poll::Ready(Next::Nothing);
        };
        let next = match watch.as_mut().poll(cx) {
            Poll::Ready(end) => {
                *this.end = Some(end);
                Next::Ended
            }
            Poll::Pending => match this.stream.as_mut().as_pin_mut().map(|it| it.poll_next(cx)) {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(Some(item))) => return Poll::Ready(Next::Item(item)),
                Some(Poll::Ready(None)) | None => Next::Nothing,
            },
        };
        this.stream.set(None);
        *this.watch = None;
        Poll::Ready(next)
    }
}

impl<S> Guarded<S> {
    /// How the session ended, if that is why the stream ended.
    pub fn ended(&self) -> Option<ConnectionEnded> {
        self.end
    }
}

impl<S: Stream> Stream for Guarded<S> {
    type Item = Result<S::Item, ConnectionEnded>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.as_mut().poll_step(cx).map(|next| match next {
            Next::Item(item) => Some(Ok(item)),
            Next::Ended => self.end.map(Err),
            Next::Nothing => None,
        })
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

/// Why a [`GuardedBody`] ends early: [`ConnectionEnded`], or the error of the body itself.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project! {
    /// A body that fails when its session ends. From [`Lifeline::guard_body`].
    pub struct GuardedBody<B> {
        // `None` after the end, so that the resources of the body are released.
        #[pin]
        body: Option<B>,
        watch: Option<Waiting>,
    }
}

impl<B> GuardedBody<B> {
    pub(super) fn new(lifeline: &Lifeline, body: B) -> Self {
        Self {
            body: Some(body),
            watch: Some(lifeline.waiting()),
        }
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(watch) = this.watch else {
            return Poll::Ready(None);
        };
        let next = match watch.as_mut().poll(cx) {
            Poll::Ready(end) => Some(Err(end.into())),
            Poll::Pending => match this.body.as_mut().as_pin_mut().map(|it| it.poll_frame(cx)) {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(Some(Ok(frame)))) => return Poll::Ready(Some(Ok(frame))),
                Some(Poll::Ready(Some(Err(error)))) => Some(Err(error.into())),
                Some(Poll::Ready(None)) | None => None,
            },
        };
        this.body.set(None);
        *this.watch = None;
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> fmt::Debug for GuardedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody").finish_non_exhaustive()
    }
}
