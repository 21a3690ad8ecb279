//! The look at the session that a request came with, and at what became of it.

use std::sync::{OnceLock, atomic::Ordering};

use portcullis_core::{
    EndReason, EventKind, SessionHandle, SessionIdHash,
    store::{Expiry, Loaded, StoreError},
    unit_of_work::{Origin, UnitOfWork, Unusable},
};

use super::{Barred, State};
use crate::{
    client::device_binding::DeviceBinding, headers::cookie::Presented, reject::error::SessionError,
    writing::working_copy::SharedCopy,
};

impl State {
    /// Loads the session unless that was done before.
    pub(crate) async fn load(&self) -> Result<(), SessionError> {
        self.requested.store(true, Ordering::Relaxed);
        self.working_copy
            .get_or_try_init(|| self.load_first())
            .await?;
        Ok(())
    }

    async fn load_first(&self) -> Result<SharedCopy, SessionError> {
        match &self.barred {
            None => {}
            Some(Barred::NotLocal(why)) => {
                tracing::error!(
                    "a session was refused: the cookie is that for local development, which serves this machine only: {why}; open the application under http://localhost, or use `CookieConfig::default()` over https"
                );
                return Err(SessionError::InsecureCookie);
            }
            Some(Barred::Nested) => {
                let error = SessionError::NestedLayer;
                tracing::error!("a session was refused: {error}");
                return Err(error);
            }
        }
        let unit = match self.cookies.session(&self.config.cookie) {
            Presented::Id(id) => self.load_one(id.key()).await?,
            Presented::Two([one, other]) => self.load_two([one.key(), other.key()]).await?,
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
        Ok(SharedCopy::new(unit))
    }

    async fn load_one(&self, key: SessionIdHash) -> Result<UnitOfWork, SessionError> {
        match self.find(key).await? {
            Found::Live(origin) => self.with_session(origin),
            Found::Gone(gone) => {
                let reason = self.note_ended(&key, gone);
                Ok(self.after_end(reason))
            }
        }
    }

    /// Of two candidates, one live one counts. The other one is not reported then: browsers go on sending the cookie of a
    /// former configuration.
    async fn load_two(&self, keys: [SessionIdHash; 2]) -> Result<UnitOfWork, SessionError> {
        let [one, other] = keys;
        match (self.find(one).await?, self.find(other).await?) {
            (Found::Live(origin), Found::Gone(_)) | (Found::Gone(_), Found::Live(origin)) => {
                self.with_session(origin)
            }
            (Found::Live(one), Found::Live(other)) => {
                self.observe(EventKind::AmbiguousIdentifier, (None, None));
                let unit = UnitOfWork::of_candidates(self.config.policy, [one, other]);
                Ok(self.arriving(unit))
            }
            (Found::Gone(first), Found::Gone(second)) => {
                let reasons = [
                    self.note_ended(&one, first),
                    self.note_ended(&other, second),
                ];
                let known = || reasons.into_iter().flatten();
                // Where one was replaced a moment ago, its session goes on under another identifier.
                let reason = known().find(|reason| reason.is_replacement());
                Ok(self.after_end(reason.or_else(|| known().next())))
            }
        }
    }

    fn with_session(&self, origin: Origin) -> Result<UnitOfWork, SessionError> {
        let unit = UnitOfWork::of_origin(self.config.policy, origin);
        self.compare(self.arriving(unit))
    }

    /// Asks the store for the session under `key`.
    async fn find(&self, key: SessionIdHash) -> Result<Found, SessionError> {
        let loaded = self
            .load_live(&key, &OnceLock::new())
            .await
            .inspect_err(|error| self.failed(error, (None, None)))?;
        Ok(match loaded {
            Loaded::Live(stored) => match Origin::read(key, &stored) {
                Ok(origin) => Found::Live(origin),
                Err(Unusable::Newer(error)) => return Err(error.into()),
                Err(Unusable::Damaged) => Found::Gone(Gone::Unreadable(EventKind::RecordDamaged)),
            },
            Loaded::Ended { reason, handle, .. } => Found::Gone(Gone::Ended(reason, handle)),
            Loaded::Expired(expired) => Found::Gone(Gone::Expired(expired.what)),
            Loaded::Damaged => Found::Gone(Gone::Unreadable(EventKind::RecordDamaged)),
            Loaded::Absent => Found::Gone(Gone::Unreadable(EventKind::UnknownIdentifier)),
        })
    }

    /// Reports that there is no session under `key`. Returns why, if that is known.
    fn note_ended(&self, key: &SessionIdHash, gone: Gone) -> Option<EndReason> {
        match gone {
            Gone::Ended(reason, handle) => {
                self.used_after_end(handle, reason);
                Some(reason)
            }
            Gone::Expired(Expiry::Session(reason)) => Some(reason),
            Gone::Expired(Expiry::Elevation) => None,
            Gone::Unreadable(kind) => {
                let event = self.event(kind, None, None);
                self.shared().emit_of_identifier(event, key);
                None
            }
        }
    }

    fn after_end(&self, reason: Option<EndReason>) -> UnitOfWork {
        if let Some(reason) = reason {
            let _ = self.ended.set(reason);
        }
        self.without_session(reason)
    }

    /// Does what is to be done when a session is used from another device than before. It can only take rights
    /// away: to note it changes nothing for the request.
    fn compare(&self, mut unit: UnitOfWork) -> Result<UnitOfWork, SessionError> {
        let Some(binding) = self.config.binding else {
            return Ok(unit);
        };
        if unit.change_of_client().is_none() {
            return Ok(unit);
        }
        match binding {
            DeviceBinding::End => {
                unit.terminate_for(EndReason::DeviceChanged);
                let _ = self.ended.set(EndReason::DeviceChanged);
            }
            binding => unit.flag(binding == DeviceBinding::StepUp, self.now())?,
        }
        Ok(unit)
    }

    /// Asks the store for a session, tells of it if it is found to be over, and remembers in `why` for what
    /// reason it ended.
    async fn load_live(
        &self,
        key: &SessionIdHash,
        why: &OnceLock<EndReason>,
    ) -> Result<Loaded, StoreError> {
        let loaded = self.shared().store().load(key).await?;
        match &loaded {
            Loaded::Ended { reason, .. } => {
                let _ = why.set(*reason);
            }
            Loaded::Expired(expired) => {
                if let Expiry::Session(reason) = expired.what {
                    let _ = why.set(reason);
                }
                self.shared().emit_expired(expired.clone());
            }
            _ => {}
        }
        Ok(loaded)
    }

    /// Why there is no session under `key` any more, if there is none and that is known.
    pub(crate) async fn load_end_reason(
        &self,
        key: &SessionIdHash,
    ) -> Result<Option<EndReason>, StoreError> {
        Ok(match self.load_live(key, &self.lost).await? {
            Loaded::Ended { reason, .. } => Some(reason),
            _ => None,
        })
    }

    /// The session under `key` as the store has it now.
    pub(crate) async fn reload(&self, key: &SessionIdHash) -> Result<Loaded, StoreError> {
        self.load_live(key, &self.lost).await
    }

    /// Whether the session that the request works with is still there: a look, not an answer that lasts.
    pub(crate) async fn is_live(&self) -> Result<bool, StoreError> {
        let key = self.working_copy().and_then(|copy| copy.unit.key());
        let Some(key) = key else {
            return Ok(false);
        };
        let loaded = self.load_live(&key, &self.lost).await?;
        Ok(matches!(loaded, Loaded::Live(_)))
    }

    fn without_session(&self, ended: Option<EndReason>) -> UnitOfWork {
        self.arriving(UnitOfWork::without_session(self.config.policy, ended))
    }

    /// With what is known of the request.
    fn arriving(&self, unit: UnitOfWork) -> UnitOfWork {
        unit.from_client(self.client().clone()).began(self.arrived)
    }
}

/// What the store has under an identifier.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Found {
    Live(Origin),
    Gone(Gone),
}

/// Why there is no session under an identifier.
enum Gone {
    Ended(EndReason, SessionHandle),
    Expired(Expiry),
    /// There is none, or none that can be read.
    Unreadable(EventKind),
}
