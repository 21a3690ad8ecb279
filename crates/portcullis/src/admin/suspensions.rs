//! Suspends and resumes users.

use std::num::NonZeroUsize;

use portcullis_core::{
    Event, Note, UserId,
    store::{
        Interrupted, Resume, Resumed, StoreError, Suspend, Suspension, SuspensionReport, UsersAfter,
    },
};

use crate::{
    admin::sessions::{Sessions, cut, emit_ends, warn_unless_confirmed},
    runtime::task,
};

/// The longest reason in bytes.
const LONGEST_REASON: usize = 1024;

/// The suspension of users: a switch for incidents.
impl Sessions {
    /// Suspends `user` in this realm: ends all their sessions, and refuses every sign-in until
    /// [`resume`](Self::resume) is called. A suspension does not expire. (OWASP ASVS 5.0, 7.4.2)
    ///
    /// It takes effect at one moment, on all servers that share the store. A sign-in that is under
    /// way is refused, with [`SessionError::Suspended`](crate::SessionError::Suspended). Live
    /// connections of the user end. A session that the lists of the store have lost ends when it is
    /// next written, or when its activity is written.
    ///
    /// Operators see the `reason`, and the user does not. One of more than 1024 bytes is cut, so
    /// that it never prevents a suspension. If the user was suspended before, the earlier
    /// suspension stays as it was, and sessions that are left are ended. A name that no user can
    /// have is not suspended.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, store::StoreError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StoreError> {
    /// let sessions = Sessions::new(MemoryStore::new()).as_operator("ada");
    /// println!("{} sessions would end.", sessions.list("eve").await?.len());
    /// let report = sessions.suspend("eve", Some("SEC-214")).await?;
    /// assert!(!report.was_suspended && report.ended.is_empty());
    /// assert!(sessions.suspension("eve").await?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the user may be suspended or not, and some sessions may have ended and
    /// others not. Call it again then.
    pub async fn suspend(
        &self,
        user: impl Into<UserId>,
        reason: Option<&str>,
    ) -> Result<SuspensionReport, StoreError> {
        let user = user.into();
        if user.check().is_err() {
            return Ok(SuspensionReport::default());
        }
        let reason = reason.filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| cut(reason, LONGEST_REASON).to_owned());
        let sessions = self.clone();
        task::run_detached(async move { sessions.suspend_now(&user, reason.as_deref()).await })
            .await?
    }

    /// Lets a suspended `user` sign in again. Who signs in is verified anew: no session is revived,
    /// and a sign-in that began before this moment is refused.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, session::Resumed, store::StoreError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StoreError> {
    /// # let sessions = Sessions::new(MemoryStore::new());
    /// sessions.suspend("eve", None).await?;
    /// assert_eq!(sessions.resume("eve").await?, Resumed::Done);
    /// assert_eq!(sessions.resume("eve").await?, Resumed::NotSuspended);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the user may be suspended or not. Call it again then.
    pub async fn resume(&self, user: impl Into<UserId>) -> Result<Resumed, StoreError> {
        let user = user.into();
        if user.check().is_err() {
            return Ok(Resumed::NotSuspended);
        }
        let sessions = self.clone();
        task::run_detached(async move { sessions.resume_now(&user).await }).await?
    }

    /// The suspension of `user`, if they are suspended: since when, by whom and why.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn suspension(
        &self,
        user: impl Into<UserId>,
    ) -> Result<Option<Suspension>, StoreError> {
        let user = user.into();
        if user.check().is_err() {
            return Ok(None);
        }
        self.shared.store().suspension(&user).await
    }

    /// Suspended users, at most `most` at a time (zero counts as one). Pages work as those of
    /// [`users`](Self::users): the page holds those after the user `after`, and a page with fewer
    /// than `most` is the last.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn suspended(
        &self,
        after: Option<&UserId>,
        most: usize,
    ) -> Result<Vec<Suspension>, StoreError> {
        let most = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
        let page = UsersAfter::new(after, most);
        self.shared.store().suspensions_after(page).await
    }

    async fn suspend_now(
        &self,
        user: &UserId,
        reason: Option<&str>,
    ) -> Result<SuspensionReport, StoreError> {
        let suspend = Suspend::new(user, &self.actor)
            .client(self.client.as_ref())
            .reason(reason)
            .longest(self.shared.longest());
        let suspended = self.shared.store().suspend(suspend).await;
        if let Ok(report) = &suspended
            && !report.was_suspended
        {
            self.emit(suspend.note(), user);
        }
        let (Ok(SuspensionReport { ended, .. }) | Err(Interrupted { ended, .. })) = &suspended;
        emit_ends(&self.shared, user, &suspend.note_of_end(), ended);
        let report = suspended.map_err(|interrupted| interrupted.error)?;
        warn_unless_confirmed(report.copies);
        Ok(report)
    }

    async fn resume_now(&self, user: &UserId) -> Result<Resumed, StoreError> {
        let resume = Resume::new(user, &self.actor)
            .client(self.client.as_ref())
            .longest(self.shared.longest());
        let resumed = self.shared.store().resume(resume).await?;
        if resumed == Resumed::Done {
            self.emit(resume.note(), user);
        }
        Ok(resumed)
    }

    fn emit(&self, note: Note, user: &UserId) {
        let (now, user) = (self.shared.now(), user.clone());
        self.shared.emit(Event::new(note, now, None, Some(user)));
    }
}
