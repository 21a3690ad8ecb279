//! The body of a response: the application's, or one of this crate in its place.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response that passed a layer of Portcullis: the application's own, or that of
    /// a refusal in its place. It works with every type of body.
    #[derive(Debug)]
    pub struct SessionBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = Projected]
    enum Inner<B> {
        Application { #[pin] body: B },
        Own { bytes: Option<Bytes> },
    }
}

impl<B> SessionBody<B> {
    pub(crate) fn application(body: B) -> Self {
        Self {
            inner: Inner::Application { body },
        }
    }

    pub(crate) fn own(bytes: Bytes) -> Self {
        Self {
            inner: Inner::Own {
                bytes: Some(bytes).filter(|bytes| !bytes.is_empty()),
            },
        }
    }
}

impl<B> Body for SessionBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().inner.project() {
            Projected::Application { body } => body.poll_frame(cx),
            Projected::Own { bytes } => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Application { body } => body.is_end_stream(),
            Inner::Own { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Application { body } => body.size_hint(),
            Inner::Own { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}
