//! The service of the layer: from the request, through the handler, to the head of the response.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Extensions, HeaderMap, HeaderValue, Request, Response, header::SET_COOKIE};
use pin_project_lite::pin_project;
use portcullis_core::{DefaultScope, Scope, store::Activity};
use tokio::runtime::Handle as Runtime;
use tower_service::Service;
use tracing::Instrument;

use crate::{
    body::SessionBody,
    config::Config,
    headers::{cache_control, retained, session_timeout},
    outcome::{Outcome, Verdict},
    reject::{error::SessionError, page, refusal::Refusal},
    request::{
        commit::{self, Work},
        state::{DoneOnDrop, State},
    },
    writing::working_copy::{CookieAction, WorkingCopyGuard},
};

/// The service of [`SessionLayer`](crate::SessionLayer).
#[derive(Debug, Clone)]
pub struct SessionService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> SessionService<S> {
    pub(crate) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Send + 'static,
    ResBody: Send + 'static,
{
    type Response = Response<SessionBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let outer = self.outer_with_same_cookie(request.extensions());
        if let Some(outer) = &outer
            && outer.shared().realm() == self.config.shared.realm()
        {
            // Two layers would set two cookies with one name, so the outer one serves both.
            outer.put_into(request.extensions_mut());
            return ResponseFuture::handling(self.inner.call(request), None);
        }
        // There may have been no runtime when the layer was added.
        self.config.start_background();
        let mut state = State::new(&self.config, &request);
        if outer.is_some() {
            state.block_nested();
        }
        let state = Arc::new(state);
        state.put_into(request.extensions_mut());
        ResponseFuture::handling(self.inner.call(request), Some(state))
    }
}

impl<S> SessionService<S> {
    /// The state of a layer around this one with the same cookie, if any. Warns about conflicts
    /// between nested layers.
    fn outer_with_same_cookie(&self, extensions: &Extensions) -> Option<Arc<State>> {
        let nesting = &self.config.nesting;
        for outer in State::all(extensions) {
            if outer.config.cookie.name() == self.config.cookie.name() {
                nesting.warn_of_same_cookie(self.config.names());
                return Some(Arc::clone(outer));
            }
            nesting.check(self.config.names(), outer.config.names());
        }
        None
    }
}

type Finishing<T, E> = Pin<Box<dyn Future<Output = Result<Response<SessionBody<T>>, E>> + Send>>;

pin_project! {
    /// The future of [`SessionService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B, E> {
        #[pin]
        kind: Kind<F, B, E>,
    }
}

pin_project! {
    #[project = Projected]
    enum Kind<F, B, E> {
        Handling {
            #[pin]
            handler: F,
            request: Unfinished,
        },
        Finishing {
            future: Finishing<B, E>,
        },
    }
}

impl<F, B, E> ResponseFuture<F, B, E> {
    fn handling(handler: F, state: Option<Arc<State>>) -> Self {
        Self {
            kind: Kind::Handling {
                handler,
                request: Unfinished(state),
            },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Send + 'static,
    E: Send + 'static,
{
    type Output = Result<Response<SessionBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let future = match this.kind.as_mut().project() {
                Projected::Finishing { future } => return future.as_mut().poll(cx),
                Projected::Handling { handler, request } => {
                    let answer = ready!(handler.poll(cx));
                    // The application's classifier may panic. Until it returns, the request stays
                    // unfinished.
                    let (verdict, answer) = match &request.0 {
                        Some(state) => judge(state, answer),
                        None => (None, answer),
                    };
                    let Some(state) = request.0.take() else {
                        return Poll::Ready(
                            answer.map(|answer| answer.map(SessionBody::application)),
                        );
                    };
                    let state = DoneOnDrop(state);
                    state.seal();
                    match plan_commit(&state, verdict) {
                        Err(SessionError::Committing) => Box::pin(async move {
                            let result = commit_rest(&state, verdict).await;
                            respond(&state, verdict, answer, result)
                        })
                            as Finishing<B, E>,
                        Ok(Some(work)) => Box::pin(async move {
                            let result = work.commit().await;
                            respond(&state, verdict, answer, result)
                        }),
                        // Most requests change nothing, and are answered without a further
                        // allocation.
                        Ok(None) => return Poll::Ready(respond(&state, verdict, answer, Ok(()))),
                        Err(error) => {
                            return Poll::Ready(respond(&state, verdict, answer, Err(error)));
                        }
                    }
                }
            };
            this.kind.set(Kind::Finishing { future });
        }
    }
}

impl<F, B, E> std::fmt::Debug for ResponseFuture<F, B, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The verdict on the handler's response. `None` if the request did not load its session, because
/// nothing depends on it then, or if the handler failed without a response.
fn judge<B, E>(
    state: &State,
    answer: Result<Response<B>, E>,
) -> (Option<Verdict>, Result<Response<B>, E>) {
    if state.working_copy().is_none() {
        return (None, answer);
    }
    state.seal();
    match answer {
        Ok(response) => {
            let (verdict, response) = state.config.classifier.judge(response);
            (Some(verdict), Ok(response))
        }
        Err(error) => (None, Err(error)),
    }
}

/// The work that remains after the handler answered. `verdict` is `None` if it failed without a
/// response.
fn plan_commit(state: &Arc<State>, verdict: Option<Verdict>) -> Result<Option<Work>, SessionError> {
    let dropped = match state.working_copy() {
        Some(copy) if copy.committing => return Err(SessionError::Committing),
        Some(mut copy) => {
            let dropped = roll_back(&mut copy, verdict, state.is_withheld());
            if verdict.map(Verdict::of_changes) == Some(Outcome::Failed) {
                restore_approvals(state, &mut copy)?;
            }
            dropped
        }
        None => false,
    };
    if dropped {
        tracing::debug!(
            "a sign-in or elevation was dropped, because the response says that the request was refused or failed"
        );
    }
    let activity = match verdict {
        Some(verdict) if verdict.is_activity() => state.activity_of_success(),
        _ => Activity::Passive,
    };
    commit::plan(state, activity)
}

/// Lets the approvals of an operation that failed be used again.
fn restore_approvals(state: &State, copy: &mut WorkingCopyGuard<'_>) -> Result<(), SessionError> {
    for (operation, key, ends_at) in state.take_used_approvals() {
        let now = state.now();
        copy.unit.restore_approval(operation, key, ends_at, now)?;
    }
    Ok(())
}

/// Drops the changes that the response does not allow. Returns whether a sign-in or elevation was
/// among them.
fn roll_back(copy: &mut WorkingCopyGuard<'_>, verdict: Option<Verdict>, is_withheld: bool) -> bool {
    match verdict.map(Verdict::of_changes) {
        // Without a response, no new identifier can reach the browser.
        None => {
            copy.unit.retain_background_ops();
            false
        }
        Some(Outcome::Succeeded) => false,
        // A new session would replace the one whose cookie was withheld.
        Some(Outcome::Refused) if is_withheld => copy.unit.rollback(),
        Some(Outcome::Refused) => copy.unit.rollback_grants(),
        Some(Outcome::Failed) => copy.unit.rollback(),
    }
}

/// Commits the remaining changes, once no commit is under way.
async fn commit_rest(state: &Arc<State>, verdict: Option<Verdict>) -> Result<(), SessionError> {
    loop {
        match plan_commit(state, verdict) {
            Err(SessionError::Committing) => state.until_committed().await,
            Ok(Some(work)) => return work.commit().await,
            Ok(None) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The response: the handler's or a refusal, with the cookie and the cache headers.
fn respond<B, E>(
    state: &State,
    verdict: Option<Verdict>,
    answer: Result<Response<B>, E>,
    result: Result<(), SessionError>,
) -> Result<Response<SessionBody<B>>, E> {
    let answer = answer?;
    let Some(mut copy) = state.working_copy() else {
        let mut response = answer.map(SessionBody::application);
        if state.was_requested() {
            cache_control::guard_read(response.headers_mut());
        }
        return Ok(page::for_browser(
            || state.refusal_context(),
            &state.config.cookie,
            response,
        ));
    };
    // Dropped changes may hold the session that contains them.
    if copy.unit.is_dirty() {
        copy.unit.retain_only_the_end();
    }
    let (mut cookie, commit_failure) = (copy.cookie.clone(), copy.commit_failure.as_error());
    drop(copy);
    // The failure of an earlier commit is reported even if the handler ignored it.
    let mut result = result.and(commit_failure.map_or(Ok(()), Err));
    if state.has_refused_write() {
        result = result.and(Err(SessionError::CookieWithheld));
    }
    let succeeded = result.is_ok();
    let mut response = match result {
        Err(SessionError::CookieWithheld) if state.can_ask_again() => {
            let mut page = state.ask_again();
            InnerCookies::carry_over(&answer, &mut page);
            page.map(SessionBody::own)
        }
        Err(error) if !explains_itself(&answer, verdict, &error) => {
            let mut refusal = state.refusal_context().fail(&error);
            retained::carry_over(answer.headers(), refusal.headers_mut());
            InnerCookies::carry_over(&answer, &mut refusal);
            refusal.map(SessionBody::own)
        }
        _ => answer.map(SessionBody::application),
    };
    let removes = matches!(cookie, CookieAction::Remove);
    // A request without a cookie may come from another site, so it clears no data.
    if (removes || (state.was_terminated() && succeeded && state.has_cookie()))
        && let Some(what) = state.config.clear_site_data
    {
        what.ask(response.headers_mut(), removes);
    }
    if state.config.sends_session_timeout {
        let elevated_until = state.elevated_until(DefaultScope::NAME);
        session_timeout::set_header(state.info(), elevated_until, state.now(), &mut response);
    }
    if succeeded && matches!(cookie, CookieAction::Keep) {
        cookie = state.renamed().map_or(cookie, CookieAction::set);
    }
    let before = response.headers().get_all(SET_COOKIE).iter().count();
    set_cookies(state, &cookie, response.headers_mut());
    if state.is_nested() {
        InnerCookies::note(&mut response, before);
    }
    Ok(page::for_browser(
        || state.refusal_context(),
        &state.config.cookie,
        response,
    ))
}

/// The `Set-Cookie` fields of inner session layers. Their changes are stored, so the fields are
/// kept if this layer replaces the response.
#[derive(Clone, Default)]
struct InnerCookies(Vec<HeaderValue>);

impl InnerCookies {
    /// Records all fields after the `first` ones.
    fn note<B>(response: &mut Response<B>, first: usize) {
        let cookies = response.headers().get_all(SET_COOKIE).iter().skip(first);
        let cookies: Vec<_> = cookies.cloned().collect();
        if !cookies.is_empty() {
            let noted: &mut Self = response.extensions_mut().get_or_insert_default();
            noted.0.extend(cookies);
        }
    }

    fn carry_over<A, B>(answer: &Response<A>, to: &mut Response<B>) {
        if let Some(noted) = answer.extensions().get::<Self>() {
            for cookie in &noted.0 {
                to.headers_mut().append(SET_COOKIE, cookie.clone());
            }
            to.extensions_mut().insert(noted.clone());
        }
    }
}

/// Whether the handler's response already reports the failure or the refusal. A [`Refusal`] that
/// was passed on does not count, because the layer builds it again for the kind of client.
fn explains_itself<B>(
    answer: &Response<B>,
    verdict: Option<Verdict>,
    error: &SessionError,
) -> bool {
    let passed_on = answer.extensions().get::<Refusal>().is_some();
    match verdict.map(Verdict::of_changes) {
        Some(Outcome::Failed) => true,
        Some(Outcome::Refused) => error.is_refusal() && !passed_on,
        // A response that keeps grants reports a success.
        Some(Outcome::Succeeded) | None => false,
    }
}

fn set_cookies(state: &State, cookie: &CookieAction, headers: &mut HeaderMap) {
    let field = match cookie {
        CookieAction::Keep => None,
        CookieAction::Set(id) => {
            let left = id.1.since(state.now());
            let remembered = state.view().is_remembered();
            state.config.cookie.set(&id.0, left, remembered)
        }
        CookieAction::Remove => state.config.cookie.remove(),
    };
    match field {
        Some(field) => {
            let cookie = &state.config.cookie;
            let other = state.name_of_ended_two();
            let other = other.and_then(|name| cookie.remove_other_named(name));
            for removal in cookie.remove_former().chain(other) {
                headers.append(SET_COOKIE, removal);
            }
            headers.append(SET_COOKIE, field);
            for name in state.accepted_cookies() {
                if let Some(removal) = cookie.remove_named(name) {
                    headers.append(SET_COOKIE, removal);
                }
            }
            cache_control::guard_cookie(headers);
        }
        None => cache_control::guard_read(headers),
    }
}

/// A request whose handler has not answered yet. The handler never answers if the client
/// disconnects or the handler panics. Then a session that the handler has ended is still ended, and
/// the observation of the client is still written.
struct Unfinished(Option<Arc<State>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(state) = self.0.take().map(DoneOnDrop) else {
            return;
        };
        state.seal();
        let left = state.working_copy().is_some_and(|mut copy| {
            if copy.committing {
                return true;
            }
            // Other operations are dropped: they may hold the session that contains them.
            copy.unit.retain_background_ops();
            copy.unit.is_dirty()
        });
        if let (true, Ok(runtime)) = (left, Runtime::try_current()) {
            // Without a response there is no cookie to set.
            let rest = async move { commit_rest(&state, None).await };
            runtime.spawn(rest.in_current_span());
        }
    }
}
