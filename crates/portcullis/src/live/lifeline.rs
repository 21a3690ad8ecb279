//! The handle of a live connection to its session.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_core::Stream;
use portcullis_core::{Demand, Scope, SessionIdHash, SessionMeta, policy::DemandLimits};
use tokio::task::unconstrained;

use crate::{
    guard::{
        demand::Privileged,
        session_guard::{Authenticated, Elevated},
    },
    live::{Guarded, GuardedBody},
    reject::connection_ended::ConnectionEnded,
    request::{session::Session, state::State},
    runtime::{context::Context, requirement::Requirement, watch, watch_registry::WatchHandle},
};

/// Waits for the end of a session beside other work.
pub(super) type Waiting = Pin<Box<dyn Future<Output = ConnectionEnded> + Send>>;

/// Resolves when a session ends, or loses what its guard requires. It is for work that continues
/// after the response has begun: streams of events, WebSockets, long downloads. It comes from
/// [`Session::lifeline`](crate::Session::lifeline),
/// [`Authenticated::lifeline`](crate::Authenticated::lifeline) or
/// [`Elevated::lifeline`](crate::Elevated::lifeline).
///
/// ```
/// # use portcullis::Authenticated;
/// # async fn next_message() -> String { String::new() }
/// # async fn send(_: String) {}
/// async fn connected(signed_in: Authenticated) {
///     let lifeline = signed_in.lifeline();
///     tokio::spawn(async move {
///         loop {
///             tokio::select! {
///                 end = lifeline.ended() => break send(end.message().to_owned()).await,
///                 message = next_message() => send(message).await,
///             }
///         }
///     });
/// }
/// ```
///
/// # When
///
/// * **An end in this process** (a sign-out, a revocation, a sweep, another device): at once.
/// * **A deadline**, idle, absolute or of an elevation: at its time on the store's clock. Another
///   request may have moved the idle deadline, so the session is loaded first.
/// * **An end in another process**: within 5 seconds at the latest, and with Redis usually at once.
///   See [`SessionLayer::revalidation_interval`](crate::SessionLayer::revalidation_interval).
/// * **The store does not answer**: after three times as long, and at a known deadline at once. The
///   lifeline fails closed.
///
/// Neither a lifeline nor the connection it guards is activity, so neither keeps a session alive.
///
/// It follows a new identifier, for example after [`regenerate`](crate::Session::regenerate) in
/// another tab. Elevations end with the old identifier, as for every request. A user who
/// authenticates begins another session, and this one ends.
///
/// # How
///
/// It starts from the session that the request commits, even if it is created before the commit. It
/// works from the first call of [`ended`](Self::ended) until it and everything it guards are
/// dropped. While it works, the session is read from the store, once for all of its connections.
/// Clones share one lifeline.
#[derive(Clone)]
pub struct Lifeline {
    inner: Arc<Inner>,
}

struct Inner {
    requirement: Requirement,
    context: Arc<Context>,
    stage: Mutex<Stage>,
}

#[derive(Clone)]
enum Stage {
    /// The request may still change its session.
    Request(Arc<State>),
    Watching(WatchHandle),
    Ended(ConnectionEnded),
}

impl Lifeline {
    pub(crate) fn new(state: &Arc<State>, requirement: Requirement) -> Self {
        Self {
            inner: Arc::new(Inner {
                requirement,
                context: Arc::clone(state.shared().context()),
                stage: Mutex::new(Stage::Request(Arc::clone(state))),
            }),
        }
    }

    /// Waits for the end, and returns its kind. The future may be dropped and `ended` called again,
    /// for example in a `select!`.
    pub async fn ended(&self) -> ConnectionEnded {
        loop {
            // A waiting task must not hold the lock.
            let stage = self.stage().clone();
            match stage {
                Stage::Ended(end) => return end,
                Stage::Watching(observed) => {
                    let end = self.follow(observed).await;
                    *self.stage() = Stage::Ended(end);
                }
                Stage::Request(state) => {
                    if let Some(stage) = self.during(&state).await {
                        *self.stage() = stage;
                    }
                }
            }
        }
    }

    /// Yields the items of `stream` until the session has ended. Then it yields [`ConnectionEnded`]
    /// as an error, and ends. So the consumer can distinguish a complete stream from one that was
    /// cut off.
    ///
    /// ```
    /// # use futures_core::Stream;
    /// # use futures_util::StreamExt;
    /// # use portcullis::Authenticated;
    /// # fn jobs() -> impl Stream<Item = u32> + Send + Unpin { futures_util::stream::empty() }
    /// async fn count(signed_in: Authenticated) -> String {
    ///     let mut jobs = signed_in.lifeline().guard(jobs());
    ///     let mut done = 0;
    ///     while let Some(job) = jobs.next().await {
    ///         match job {
    ///             Ok(_job) => done += 1,
    ///             Err(end) => return format!("Stopped after {done}. {}", end.message()),
    ///         }
    ///     }
    ///     format!("All {done} are done.")
    /// }
    /// ```
    ///
    /// [`guard_body`](Self::guard_body) guards the body of a response, and events are guarded by
    #[cfg_attr(feature = "axum", doc = "[`guard_events`](Self::guard_events).")]
    #[cfg_attr(not(feature = "axum"), doc = "`guard_events`.")]
    pub fn guard<S: Stream>(&self, stream: S) -> Guarded<S> {
        Guarded::new(self, stream)
    }

    /// Guards the `body` of a response, which fails with [`ConnectionEnded`] when the session has
    /// ended. After the end was noticed, no frame is yielded. A client that does not read notices
    /// the end only when it reads.
    ///
    /// A server aborts a response whose body fails, so that no client takes a part for the whole.
    /// Over HTTP/1, the connection closes without the last chunk, or before `Content-Length` is
    /// reached. Over HTTP/2, the stream is reset. A browser reports a failed download, and `fetch`
    /// rejects the promise that reads the body.
    ///
    /// ```
    /// # use axum::body::{Body, Bytes};
    /// # use futures_core::Stream;
    /// # use portcullis::Authenticated;
    /// # type Row = Result<Bytes, std::io::Error>;
    /// # fn rows() -> impl Stream<Item = Row> + Send + 'static { futures_util::stream::empty() }
    /// async fn export(signed_in: Authenticated) -> Body {
    ///     Body::new(signed_in.lifeline().guard_body(Body::from_stream(rows())))
    /// }
    /// ```
    ///
    /// Place it inside of compression, which passes on the failure.
    pub fn guard_body<B>(&self, body: B) -> GuardedBody<B> {
        GuardedBody::new(self, body)
    }

    /// [`ended`](Self::ended) for a task that polls it beside other work. Tokio interrupts a task
    /// that is always ready, but the end must not wait behind items.
    pub(super) fn waiting(&self) -> Waiting {
        let lifeline = self.clone();
        Box::pin(unconstrained(async move { lifeline.ended().await }))
    }

    /// Waits while the request may still change its session. After `None`, the caller tries again.
    async fn during(&self, state: &State) -> Option<Stage> {
        state.until_committed().await;
        let is_done = state.is_done();
        let Some((key, meta)) = state.stored() else {
            if is_done || !state.view().exists() {
                return Some(Stage::Ended(ConnectionEnded::Session(
                    state.reason_of_no_session(),
                )));
            }
            state.until_done().await;
            return None;
        };
        let observed = match self.watch(key, &meta) {
            Some(observed) => observed,
            None => return Some(Stage::Ended(ConnectionEnded::Unverifiable)),
        };
        if is_done {
            return Some(Stage::Watching(observed));
        }
        tokio::select! {
            biased;
            () = state.until_done() => None,
            end = self.follow(observed) => {
                state.until_committed().await;
                let changed = state.stored().is_none_or(|(now, _)| now != key);
                (!changed).then_some(Stage::Ended(end))
            }
        }
    }

    fn watch(&self, key: SessionIdHash, meta: &SessionMeta) -> Option<WatchHandle> {
        watch::start(&self.inner.context, key, meta)
    }

    async fn follow(&self, observed: WatchHandle) -> ConnectionEnded {
        let Inner {
            requirement,
            context,
            ..
        } = &*self.inner;
        observed
            .until(|status| requirement.met(status, context.now()))
            .await
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        let stage = self.inner.stage.lock();
        stage.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Resolves when this session ends, for code that runs after the response has begun. It starts
    /// from the session that this request commits. Without a session, it resolves at once.
    pub fn lifeline(&self) -> Lifeline {
        Lifeline::new(self.state(), Requirement::default())
    }
}

impl Authenticated {
    /// Resolves when a new request would be refused: the session ended, or belongs to another user.
    pub fn lifeline(&self) -> Lifeline {
        self.lifeline_for(None)
    }

    fn lifeline_for(&self, demand: Option<(DemandLimits, Option<&'static str>)>) -> Lifeline {
        let state = self.session().state();
        let requirement = Requirement {
            user: Some(self.user().clone()),
            demand,
            trust: state.distrusts(),
        };
        Lifeline::new(state, requirement)
    }
}

impl<S: Scope> Elevated<S> {
    /// Resolves when a new request would be refused: the session or its elevation for this scope
    /// ended.
    pub fn lifeline(&self) -> Lifeline {
        self.authenticated()
            .lifeline_for(Some((self.demand().clone(), None)))
    }
}

impl<D: Demand> Privileged<D> {
    /// Resolves when a new request would be refused: the session ended, or no longer meets the
    /// demand. The stream is no privileged activity, so it does not move that moment.
    pub fn lifeline(&self) -> Lifeline {
        self.authenticated()
            .lifeline_for(Some((self.demand().clone(), Some(D::NAME))))
    }
}

impl fmt::Debug for Lifeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifeline").finish_non_exhaustive()
    }
}
