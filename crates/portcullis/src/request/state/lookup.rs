//! Loading the session of a request, and checking later whether it is still live.

use std::{
    future::Future,
    pin::Pin,
    sync::{OnceLock, atomic::Ordering},
};

use portcullis_core::{
    EndReason, EventKind, SessionHandle, SessionIdHash,
    store::{Expiry, Loaded, StoreError},
    unit_of_work::{Origin, UnitOfWork, Unusable},
};

use super::{Blocked, State};
#[cfg(feature = "policy")]
use crate::runtime::live_policy::LivePolicy;
use crate::{
    client::device_binding::DeviceBinding, headers::cookie::Presented, reject::error::SessionError,
    runtime::registration::Registrar, writing::working_copy::SharedCopy,
};

impl State {
    /// Loads the session, unless the request has loaded it before.
    pub(crate) async fn load(&self) -> Result<(), SessionError> {
        self.requested.store(true, Ordering::Relaxed);
        self.working_copy
            .get_or_try_init(|| self.load_first())
            .await?;
        Ok(())
    }

    /// Asks the registry whether the layer may use sessions. The future is boxed, because this is
    /// rare and it would enlarge that of every load.
    #[cold]
    fn admit<'a>(
        &'a self,
        registrar: &'a Registrar,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>> {
        Box::pin(async {
            let admitted = registrar.admit().await;
            admitted.inspect_err(|error| self.failed(error, (None, None)))
        })
    }

    /// Asks for the active policy, since the last answer is too old to judge by. Without an answer,
    /// the last one holds: where the store as a whole is down, the session cannot be loaded either.
    /// Boxed, as [`admit`](Self::admit).
    #[cfg(feature = "policy")]
    #[cold]
    fn confirm_policy(&self) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        Box::pin(async {
            let shared = self.shared();
            match shared.confirm_policy().await {
                Err(_) if shared.live_policy().is_some_and(LivePolicy::is_known) => Ok(()),
                confirmed => confirmed.inspect_err(|error| self.failed(error, (None, None))),
            }
        })
    }

    async fn load_first(&self) -> Result<SharedCopy, SessionError> {
        match self.blocked.as_deref() {
            None => {}
            Some(Blocked::NotLocal(why)) => {
                tracing::error!(
                    "a session was refused: its cookie is for local development, which works on this machine only; {why}; open the application under http://localhost, or use `CookieConfig::default()` over https"
                );
                return Err(SessionError::InsecureCookie);
            }
            Some(Blocked::Nested) => {
                let error = SessionError::NestedLayer;
                tracing::error!("a session was refused: {error}");
                return Err(error);
            }
        }
        if let Some(registrar) = self.shared().registrar()
            && !registrar.is_admitted()
        {
            self.admit(registrar).await?;
        }
        #[cfg(feature = "policy")]
        if self
            .shared()
            .live_policy()
            .is_some_and(|live| !live.is_fresh())
        {
            self.confirm_policy().await?;
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
            Found::NoSession(why) => {
                let reason = self.note_ended(&key, why);
                Ok(self.after_end(reason))
            }
        }
    }

    /// Loads the sessions of two candidates. If one is live, it is used, and the other is not
    /// reported: browsers keep sending the cookie of an earlier configuration.
    async fn load_two(&self, keys: [SessionIdHash; 2]) -> Result<UnitOfWork, SessionError> {
        let [one, other] = keys;
        match (self.find(one).await?, self.find(other).await?) {
            (Found::Live(origin), Found::NoSession(_))
            | (Found::NoSession(_), Found::Live(origin)) => self.with_session(origin),
            (Found::Live(one), Found::Live(other)) => {
                self.observe(EventKind::AmbiguousIdentifier, (None, None));
                let unit = UnitOfWork::of_candidates(self.sessions(), [one, other]);
                Ok(self.with_request(unit))
            }
            (Found::NoSession(first), Found::NoSession(second)) => {
                let reasons = [
                    self.note_ended(&one, first),
                    self.note_ended(&other, second),
                ];
                let known = || reasons.into_iter().flatten();
                // A session that was just replaced continues under another identifier.
                let reason = known().find(|reason| reason.is_replacement());
                Ok(self.after_end(reason.or_else(|| known().next())))
            }
        }
    }

    fn with_session(&self, origin: Origin) -> Result<UnitOfWork, SessionError> {
        let mut unit = UnitOfWork::of_origin(self.sessions(), origin);
        if unit.ended_by_policy(self.now()).is_some() {
            unit.terminate_for(EndReason::PolicyTightened);
            let _ = self.ended.set(EndReason::PolicyTightened);
            return Ok(self.with_request(unit));
        }
        let class = unit.view().class();
        if self.policy().limits(class).is_none() {
            self.config.unknown_classes.warn(class);
        }
        self.check_device(self.with_request(unit))
    }

    /// Loads the session under `key`.
    async fn find(&self, key: SessionIdHash) -> Result<Found, SessionError> {
        let loaded = self
            .load_live(&key, &OnceLock::new())
            .await
            .inspect_err(|error| self.failed(error, (None, None)))?;
        Ok(match loaded {
            Loaded::Live(stored) => match Origin::read(key, &stored) {
                Ok(origin) => Found::Live(origin),
                Err(Unusable::Newer(error)) => return Err(error.into()),
                Err(Unusable::Damaged) => {
                    Found::NoSession(NoSession::Unreadable(EventKind::RecordDamaged))
                }
            },
            Loaded::Ended { reason, handle, .. } => {
                Found::NoSession(NoSession::Ended(reason, handle))
            }
            Loaded::Expired(expired) => Found::NoSession(NoSession::Expired(expired.what)),
            Loaded::Damaged => Found::NoSession(NoSession::Unreadable(EventKind::RecordDamaged)),
            Loaded::Absent => Found::NoSession(NoSession::Unreadable(EventKind::UnknownIdentifier)),
        })
    }

    /// Reports that there is no session under `key`. Returns the reason, if known.
    fn note_ended(&self, key: &SessionIdHash, why: NoSession) -> Option<EndReason> {
        match why {
            NoSession::Ended(reason, handle) => {
                self.used_after_end(handle, reason);
                Some(reason)
            }
            NoSession::Expired(Expiry::Session(reason)) => Some(reason),
            NoSession::Expired(Expiry::Elevation) => None,
            NoSession::Unreadable(kind) => {
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

    /// Applies the device binding, if the session is used from another device than before. It can
    /// only remove rights; a mere observation changes nothing for the request.
    fn check_device(&self, mut unit: UnitOfWork) -> Result<UnitOfWork, SessionError> {
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
            binding => {
                unit.flag(binding == DeviceBinding::StepUp, self.now())?;
                if !unit.view().exists() {
                    let _ = self.ended.set(EndReason::IdleTimeout);
                }
            }
        }
        Ok(unit)
    }

    /// Loads a session. If the store finds that it expired, this emits the event. It stores the
    /// reason of its end in `why`.
    async fn load_live(
        &self,
        key: &SessionIdHash,
        why: &OnceLock<EndReason>,
    ) -> Result<Loaded, StoreError> {
        let loaded = self.shared().load(key).await?;
        match &loaded {
            Loaded::Ended { reason, .. } => {
                let _ = why.set(*reason);
            }
            Loaded::Expired(expired) => {
                if let Expiry::Session(reason) = expired.what {
                    let _ = why.set(reason);
                }
            }
            _ => {}
        }
        Ok(loaded)
    }

    /// Why the session under `key` has ended, if it has and the reason is known.
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

    /// Whether the request's session is live at this moment.
    pub(crate) async fn is_live(&self) -> Result<bool, StoreError> {
        let key = self.working_copy().and_then(|copy| copy.unit.key());
        let Some(key) = key else {
            return Ok(false);
        };
        let loaded = self.load_live(&key, &self.lost).await?;
        Ok(matches!(loaded, Loaded::Live(_)))
    }

    fn without_session(&self, ended: Option<EndReason>) -> UnitOfWork {
        self.with_request(UnitOfWork::without_session(self.sessions(), ended))
    }

    /// The unit of work, with the client and the arrival time of the request.
    fn with_request(&self, unit: UnitOfWork) -> UnitOfWork {
        unit.from_client(self.client().clone()).began(self.arrived)
    }
}

/// The store's answer for an identifier.
#[allow(clippy::large_enum_variant, reason = "it is destructured at once")]
enum Found {
    Live(Origin),
    NoSession(NoSession),
}

/// Why there is no session under an identifier.
enum NoSession {
    Ended(EndReason, SessionHandle),
    Expired(Expiry),
    /// It is unknown or damaged, as this event reports.
    Unreadable(EventKind),
}
