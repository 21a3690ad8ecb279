//! The look at the session that a request came with, and at what became of it.

use std::sync::{OnceLock, atomic::Ordering};

use portcullis_core::{
    EndReason, EventKind, SessionKey,
    draft::{Draft, Unusable},
    store::{Expiry, Loaded, StoreError},
};

use super::{State, used::Shared};
use crate::{DeviceBinding, SessionError, cookie::Presented};

impl State {
    /// Loads the session unless that was done before.
    pub(crate) async fn load(&self) -> Result<(), SessionError> {
        self.asked_for.store(true, Ordering::Relaxed);
        self.used.get_or_try_init(|| self.first_look()).await?;
        Ok(())
    }

    async fn first_look(&self) -> Result<Shared, SessionError> {
        if let Some(why) = &self.barred {
            tracing::error!(
                "a session was refused: the cookie is that for local development, which serves this machine only: {why}; open the application under http://localhost, or use `CookieConfig::default()` over https"
            );
            return Err(SessionError::InsecureCookie);
        }
        let draft = match self.cookies.session(&self.config.cookie) {
            Presented::Id(id) => self.look_up(id.key()).await?,
            Presented::Nothing => self.without_session(None),
            Presented::Malformed => {
                self.observe(EventKind::MalformedIdentifier, (None, None));
                self.without_session(None)
            }
            Presented::Ambiguous => {
                self.observe(EventKind::AmbiguousIdentifier, (None, None));
                self.without_session(None)
            }
        };
        Ok(Shared::new(draft))
    }

    async fn look_up(&self, key: SessionKey) -> Result<Draft, SessionError> {
        let loaded = self
            .look_at(&key, &self.ended)
            .await
            .inspect_err(|error| self.failed(error, (None, None)))?;
        let kind = match loaded {
            Loaded::Live(stored) => match Draft::of_session(self.config.policy, key, &stored) {
                Ok(draft) => {
                    return self
                        .compare(draft.from_client(self.client().clone()).began(self.arrived));
                }
                Err(Unusable::Newer(error)) => return Err(error.into()),
                Err(Unusable::Damaged) => EventKind::RecordDamaged,
            },
            Loaded::Ended { reason, handle, .. } => {
                self.used_after_end(handle, reason);
                return Ok(self.without_session(Some(reason)));
            }
            Loaded::Expired(expired) => {
                return Ok(self.without_session(match expired.what {
                    Expiry::Session(reason) => Some(reason),
                    Expiry::Elevation => None,
                }));
            }
            Loaded::Damaged => EventKind::RecordDamaged,
            Loaded::Absent => EventKind::UnknownIdentifier,
        };
        let event = self.event(kind, None, None);
        self.house().tell_of_identifier(event, &key);
        Ok(self.without_session(None))
    }

    /// Does what is to be done when a session is used from another device than before. It can only take rights
    /// away: to note it changes nothing for the request.
    fn compare(&self, mut draft: Draft) -> Result<Draft, SessionError> {
        let binding = self.config.binding;
        if binding == DeviceBinding::Off || draft.change_of_client().is_none() {
            return Ok(draft);
        }
        match binding {
            DeviceBinding::End => {
                draft.terminate_for(EndReason::DeviceChanged);
                let _ = self.ended.set(EndReason::DeviceChanged);
            }
            binding => draft.flag(binding == DeviceBinding::StepUp, self.now())?,
        }
        Ok(draft)
    }

    /// Asks the store for a session, tells of it if it is found to be over, and remembers in `why` for what
    /// reason it ended.
    async fn look_at(
        &self,
        key: &SessionKey,
        why: &OnceLock<EndReason>,
    ) -> Result<Loaded, StoreError> {
        let loaded = self.house().store().load(key).await?;
        match &loaded {
            Loaded::Ended { reason, .. } => {
                let _ = why.set(*reason);
            }
            Loaded::Expired(expired) => {
                if let Expiry::Session(reason) = expired.what {
                    let _ = why.set(reason);
                }
                self.house().tell_expired(expired.clone());
            }
            _ => {}
        }
        Ok(loaded)
    }

    /// Why there is no session under `key` any more, if there is none and that is known.
    pub(crate) async fn why_gone(&self, key: &SessionKey) -> Result<Option<EndReason>, StoreError> {
        Ok(match self.look_at(key, &self.lost).await? {
            Loaded::Ended { reason, .. } => Some(reason),
            _ => None,
        })
    }

    /// The session under `key` as the store has it now.
    pub(crate) async fn look_again(&self, key: &SessionKey) -> Result<Loaded, StoreError> {
        self.look_at(key, &self.lost).await
    }

    /// Whether the session that the request works with is still there: a look, not an answer that lasts.
    pub(crate) async fn is_live(&self) -> Result<bool, StoreError> {
        let key = self.used().and_then(|used| used.draft.key());
        let Some(key) = key else {
            return Ok(false);
        };
        let loaded = self.look_at(&key, &self.lost).await?;
        Ok(matches!(loaded, Loaded::Live(_)))
    }

    fn without_session(&self, ended: Option<EndReason>) -> Draft {
        Draft::without_session(self.config.policy, ended)
            .from_client(self.client().clone())
            .began(self.arrived)
    }
}
