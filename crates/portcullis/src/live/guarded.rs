//! A stream that ends with a session.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::{Lifeline, Lost, lifeline::Waiting};

pin_project! {
    /// The items of a stream until its session is lost. From [`Lifeline::guard`].
    #[must_use = "streams do nothing unless polled"]
    pub struct Guarded<S> {
        // None once it is over, so that what the stream holds is let go of.
        #[pin]
        stream: Option<S>,
        watch: Option<Waiting>,
        lost: Option<Lost>,
    }
}

/// What comes next.
pub(super) enum Next<T> {
    Item(T),
    Lost,
    Nothing,
}

impl<S: Stream> Guarded<S> {
    pub(super) fn new(lifeline: &Lifeline, stream: S) -> Self {
        Self {
            stream: Some(stream),
            watch: Some(lifeline.waiting()),
            lost: None,
        }
    }

    pub(super) fn poll_step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next<S::Item>> {
        let mut this = self.project();
        let Some(watch) = this.watch else {
            return Poll::Ready(Next::Nothing);
        };
        let next = match watch.as_mut().poll(cx) {
            Poll::Ready(lost) => {
                *this.lost = Some(lost);
                Next::Lost
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
    /// What was lost, if that is why the stream ended.
    pub fn lost(&self) -> Option<Lost> {
        self.lost
    }
}

impl<S: Stream> Stream for Guarded<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.poll_step(cx).map(|next| match next {
            Next::Item(item) => Some(item),
            Next::Lost | Next::Nothing => None,
        })
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}
