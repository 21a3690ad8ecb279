//! The layer for routes whose requests are no activity.

use tower_layer::Layer;

use crate::guard::annotate::Annotated;

/// Annotates routes whose requests do not count as activity: polls, heartbeats, and other requests
/// that no user caused. It may stand inside or outside of [`SessionLayer`](crate::SessionLayer).
///
/// ```
/// # use axum::{Router, routing::get};
/// # use portcullis::route::PassiveLayer;
/// # async fn unread() {}
/// let router: Router = Router::new()
///     .route("/notifications/unread", get(unread))
///     .route_layer(PassiveLayer::new());
/// ```
///
/// # What is activity
///
#[doc = include_str!("../../docs/activity.md")]
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct PassiveLayer;

impl PassiveLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for PassiveLayer {
    type Service = Annotated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Annotated::new(inner, |annotations| annotations.passive = true)
    }
}
