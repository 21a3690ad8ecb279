//! Methods of the guards for a user's own sessions.

use portcullis_core::{
    Actor, EventKind, SessionEntry, SessionHandle,
    store::{LogQuery, Logged, RevocationReport, StoreError},
};

use crate::{
    admin::sessions::Sessions,
    guard::session_guard::{Authenticated, Elevated},
    reject::error::SessionError,
    request::state::State,
    writing::working_copy::CookieAction,
};

/// The user's own sessions and log.
impl Authenticated {
    /// The live sessions of the signed-in user, the most recently active first.
    /// [`current`](SessionEntry::current) is set for the session of this request. It is for a page
    /// of devices (OWASP ASVS 5.0, 7.5.2).
    ///
    /// ```
    /// # use portcullis::{Authenticated, SessionError};
    /// async fn devices(signed_in: Authenticated) -> Result<String, SessionError> {
    ///     let sessions = signed_in.list_sessions().await?;
    ///     let names = sessions.iter().filter_map(|session| session.client.as_ref());
    ///     Ok(names.map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`] when the store cannot answer.
    pub async fn list_sessions(&self) -> Result<Vec<SessionEntry>, SessionError> {
        let state = self.session().state();
        let listed = Sessions::of_client(state).list(self.user().clone()).await;
        let mut entries = listed.inspect_err(|error| report(state, error))?;
        let (current, _) = state.subject();
        for entry in &mut entries {
            entry.current = current == Some(entry.info.handle);
        }
        Ok(entries)
    }

    /// The entries of the store's log about the signed-in user, newest first, at most `most` (100
    /// for zero). They show neither name nor client of an operator. Equal refusals in a row are one
    /// entry, see [`Logged::count`].
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`] when the store cannot answer.
    pub async fn history(&self, most: usize) -> Result<Vec<Logged>, SessionError> {
        let state = self.session().state();
        let query = LogQuery {
            user: Some(self.user().clone()),
            most,
            ..LogQuery::default()
        };
        let logged = Sessions::of_client(state).history(query).await;
        let mut logged = logged.inspect_err(|error| report(state, error))?;
        for event in logged.iter_mut().filter_map(|line| line.event.as_mut()) {
            if let Actor::Operator(name) = &mut event.actor {
                // Names and addresses of operators are not for the users they support.
                name.clear();
                event.client = None;
            }
        }
        Ok(logged)
    }
}

/// Methods that end the user's own sessions. They need a recent proof (OWASP ASVS 5.0, 7.5.2): a
/// stranger who finds a signed-in device must not sign its owner out everywhere else.
/// [`Session::terminate`](crate::Session::terminate) ends the current session without that proof.
impl<S> Elevated<S> {
    /// Ends one of the signed-in user's sessions, which has ended when this returns. If it is the
    /// current one, the response also removes the cookie, and the handler no longer has a session.
    ///
    /// For a session of another user, and for none, the receipt is empty, and
    /// [`EventKind::RevocationRefused`](crate::audit::EventKind::RevocationRefused) is reported.
    /// Both take equally long: answer both with 404.
    ///
    /// ```
    /// # use axum::{extract::Path, http::StatusCode, response::Result};
    /// # use portcullis::{Elevated, session::SessionHandle};
    /// async fn end(elevated: Elevated, Path(handle): Path<SessionHandle>) -> Result<StatusCode> {
    ///     let receipt = elevated.revoke_session(handle).await?;
    ///     Ok(match receipt.ended.is_empty() {
    ///         true => StatusCode::NOT_FOUND,
    ///         false => StatusCode::NO_CONTENT,
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`] when it is unknown whether the session was ended; call it again
    /// then. [`SessionError::Ended`] and [`SessionError::ElevationEnded`] when the current session,
    /// or its elevation, has ended since the guard checked it. For the current session also the
    /// errors of [`terminate`](crate::Session::terminate) and [`commit`](crate::Session::commit).
    pub async fn revoke_session(
        &self,
        handle: SessionHandle,
    ) -> Result<RevocationReport, SessionError> {
        let state = self.still_in_force().await?;
        let current = state.subject();
        if current.0 == Some(handle) {
            return self.terminate(handle, RevocationReport::default()).await;
        }
        let sessions = Sessions::of_client(state);
        let revoked = sessions.revoke(self.user().clone(), handle).await;
        let receipt = revoked.inspect_err(|error| report(state, error))?;
        if receipt.ended.is_empty() {
            let (session, _) = current;
            let user = Some(self.user().clone());
            state.observe(EventKind::RevocationRefused, (session, user));
        }
        Ok(receipt)
    }

    /// Ends all sessions of the signed-in user except the current one, at one moment as
    /// [`Sessions::revoke_others`] does.
    ///
    /// After a change of a password or another proof, end the other sessions and give this one a
    /// new identifier (OWASP ASVS 5.0, 7.4.3). If that fails, the new password is still in force:
    /// notify the user that the other devices are still signed in.
    ///
    /// ```
    /// # use portcullis::{Elevated, SessionError};
    /// async fn change_password(elevated: Elevated) -> Result<String, SessionError> {
    ///     // … once the new password is stored:
    ///     let receipt = elevated.revoke_other_sessions().await?;
    ///     elevated.session().regenerate()?;
    ///     Ok(format!("{} other sessions were ended.", receipt.ended.len()))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`]: some sessions may have ended and others not. Call it again then.
    /// [`SessionError::Ended`] when the current session, and [`SessionError::ElevationEnded`] when
    /// its elevation, has ended since the guard checked it.
    pub async fn revoke_other_sessions(&self) -> Result<RevocationReport, SessionError> {
        let (current, _) = self.still_in_force().await?.subject();
        self.revoke_all_but(current.ok_or(SessionError::Ended)?)
            .await
    }

    /// Ends all sessions of the signed-in user, the current one last. The response removes the
    /// cookie, and the handler no longer has a session. Each half takes effect when it is done:
    /// first the others, at one moment as with [`Sessions::revoke_others`], then this one.
    ///
    /// # Errors
    ///
    /// As [`revoke_other_sessions`](Self::revoke_other_sessions), and for the current one those of
    /// [`terminate`](crate::Session::terminate) and [`commit`](crate::Session::commit).
    pub async fn revoke_all_sessions(&self) -> Result<RevocationReport, SessionError> {
        let (current, _) = self.still_in_force().await?.subject();
        let current = current.ok_or(SessionError::Ended)?;
        let others = self.revoke_all_but(current).await?;
        self.terminate(current, others).await
    }

    /// Checks the guard's condition again. The handler may have waited since the guard's check, for
    /// a slow body. A user who was signed out in the meantime must not sign out other sessions.
    async fn still_in_force(&self) -> Result<&State, SessionError> {
        let state = self.session().state();
        if state.now() >= self.until() {
            return Err(SessionError::ElevationEnded);
        }
        let live = state.is_live().await;
        match live.inspect_err(|error| report(state, error))? {
            true => Ok(state),
            false => Err(SessionError::Ended),
        }
    }

    async fn revoke_all_but(&self, kept: SessionHandle) -> Result<RevocationReport, SessionError> {
        let state = self.session().state();
        let sessions = Sessions::of_client(state);
        let revoked = sessions.revoke_others(self.user().clone(), kept).await;
        Ok(revoked.inspect_err(|error| report(state, error))?)
    }

    /// Ends the current session through itself, so that the response removes the cookie.
    async fn terminate(
        &self,
        current: SessionHandle,
        others: RevocationReport,
    ) -> Result<RevocationReport, SessionError> {
        self.session().terminate()?;
        self.session().commit().await?;
        let mut receipt = others;
        // Only the request that ended the session removes the cookie and has the receipt.
        let copy = self.session().state().working_copy();
        if copy.is_some_and(|copy| matches!(copy.cookie, CookieAction::Remove)) {
            receipt.ended.push(current);
        }
        Ok(receipt)
    }
}

fn report(state: &State, error: &StoreError) {
    state.failed(error, state.subject());
}
