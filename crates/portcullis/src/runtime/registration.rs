//! The registration of the layer's realm in the store, by a background task and before the first
//! sessions.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use portcullis_core::{
    Class, Environment, Realm, millis,
    store::{RealmConflict, Register, Registered, StoreError, StoreErrorKind},
};
use tokio::{
    runtime::Handle as Runtime,
    sync::oneshot,
    time::{self, Instant},
};

use crate::runtime::{
    dyn_store::DynStore,
    task::{Alive, has_timers},
};

/// What a layer registers of its realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The name of the cookie.
    pub(crate) cookie: String,
    /// The longest absolute timeout of its sessions.
    pub(crate) longest: Duration,
    pub(crate) environment: Option<Environment>,
    pub(crate) classes: Arc<[Class]>,
}

impl Registration {
    /// Whether it can contradict that of another process in a way that affects sessions which this
    /// process makes.
    fn declares(&self) -> bool {
        self.environment.is_some() || !self.classes.is_empty()
    }
}

/// Registers a layer's realm, and knows whether the layer may use sessions.
pub(crate) struct Registrar {
    store: Arc<dyn DynStore>,
    registration: Registration,
    /// The longest absolute timeout so far, in ms.
    longest: AtomicU64,
    /// Whether requests may use sessions. Read by each of them, so the rest is behind a lock.
    is_admitted: AtomicBool,
    /// `None` if the registry has last accepted the registration, or was never asked.
    refused: Mutex<Option<Refused>>,
}

/// An answer of the registry.
#[derive(Clone)]
struct Refused {
    at: Instant,
    error: StoreError,
}

impl Registrar {
    pub(crate) fn new(store: Arc<dyn DynStore>, registration: Registration) -> Self {
        Self {
            store,
            is_admitted: AtomicBool::new(!registration.declares()),
            longest: AtomicU64::new(millis(registration.longest)),
            registration,
            refused: Mutex::new(None),
        }
    }

    /// The longest absolute timeout so far.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.longest.load(Ordering::Relaxed))
    }

    /// Whether requests may use sessions, as far as is known. If not, [`admit`](Self::admit) finds
    /// out.
    pub(crate) fn is_admitted(&self) -> bool {
        self.is_admitted.load(Ordering::Relaxed)
    }

    /// Returns once requests may use sessions. If the registry has not answered yet or not for a
    /// while, each caller asks for itself, so that none waits longer than the store takes.
    pub(crate) async fn admit(&self) -> Result<(), StoreError> {
        let refused = self.refused().clone();
        match refused {
            Some(refused) if refused.at.elapsed() < RETRY => Err(refused.error),
            _ => self.register().await,
        }
    }

    /// Registers a longer absolute timeout, before sessions have it. What was registered once is
    /// kept by the store.
    #[cfg(feature = "policy")]
    pub(crate) async fn lengthen(&self, longest: Duration) -> Result<(), StoreError> {
        if self.longest.fetch_max(millis(longest), Ordering::Relaxed) >= millis(longest) {
            return Ok(());
        }
        self.register().await
    }

    /// Registers the realm, and notes the answer.
    pub(crate) async fn register(&self) -> Result<(), StoreError> {
        let Registration {
            cookie,
            environment,
            classes,
            ..
        } = &self.registration;
        let register = Register::new(cookie, self.longest(), environment.as_ref(), classes);
        let error = match self.store.register(register).await? {
            Registered::Done => None,
            Registered::Refused(conflict) => Some(refusal(&self.store.realm(), &conflict)),
        };
        self.note(error.clone());
        error.map_or(Ok(()), Err)
    }

    /// Notes the registry's answer, and logs it if it is another one than before.
    fn note(&self, error: Option<StoreError>) {
        let refused = error.map(|error| Refused {
            at: Instant::now(),
            error,
        });
        let text = |refused: &Option<Refused>| refused.as_ref().map(|it| it.error.to_string());
        let now = text(&refused);
        let before = {
            let mut noted = self.refused();
            self.is_admitted.store(refused.is_none(), Ordering::Relaxed);
            std::mem::replace(&mut *noted, refused)
        };
        match (text(&before), now) {
            (before, now) if before == now => {}
            (_, Some(error)) => tracing::error!(error, "no session can be used"),
            (_, None) => {
                tracing::info!("the registry has accepted the realm, so sessions can be used");
            }
        }
    }

    fn refused(&self) -> MutexGuard<'_, Option<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of every use of a session while the registry refuses the realm.
fn refusal(realm: &Realm, conflict: &RealmConflict) -> StoreError {
    let message = format!("the store's registry refuses the realm `{realm}`: {conflict}");
    StoreError::new(StoreErrorKind::Misconfigured, message)
}

/// The time between two registrations. The registry's "last seen" is at most that old.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// The time until the next attempt after a failure or a refusal.
const RETRY: Duration = Duration::from_secs(5);

/// Starts the task. It ends when the returned value is dropped.
pub(crate) fn start(runtime: &Runtime, registrar: &Arc<Registrar>) -> Alive {
    let (alive, dropped) = oneshot::channel();
    runtime.spawn(run(Arc::clone(registrar), dropped));
    alive
}

async fn run(registrar: Arc<Registrar>, mut dropped: oneshot::Receiver<Infallible>) {
    let mut fails = false;
    loop {
        let pause = match registrar.register().await {
            Ok(()) => {
                fails = false;
                EVERY
            }
            Err(error) => {
                // A refusal is logged where it is noted.
                if !fails && registrar.refused().is_none() {
                    fails = true;
                    tracing::warn!(%error, "the realm of sessions could not be registered; operations on all realms may miss it");
                }
                RETRY
            }
        };
        if !has_timers() || time::timeout(pause, &mut dropped).await.is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::store::{MemoryStore, Store};

    use super::*;

    fn environment(name: &'static str) -> Environment {
        Environment::new(name).unwrap()
    }

    fn registrar(store: &MemoryStore, environment: Option<Environment>) -> Arc<Registrar> {
        let registration = Registration {
            cookie: "__Host-Http-id".into(),
            longest: Duration::from_secs(60 * 60),
            environment,
            classes: Arc::default(),
        };
        Arc::new(Registrar::new(Arc::new(store.clone()), registration))
    }

    async fn rename(store: &MemoryStore, to: &'static str) {
        let environment = environment(to);
        Store::set_environment(store, &environment).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_registration_is_repeated_until_it_is_accepted() {
        let store = MemoryStore::new();
        let first = registrar(&store, Some(environment("production")));
        first.register().await.unwrap();
        let second = registrar(&store, Some(environment("live")));
        let _alive = start(&Runtime::current(), &second);
        time::sleep(RETRY * 3).await;
        assert!(!second.is_admitted());
        rename(&store, "live").await;
        time::sleep(RETRY * 2).await;
        assert!(second.is_admitted());
        assert!(second.admit().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_asks_again_if_the_last_refusal_is_old() {
        let store = MemoryStore::new();
        let registrar = registrar(&store, Some(environment("production")));
        registrar.register().await.unwrap();
        rename(&store, "live").await;
        assert!(registrar.register().await.is_err());
        rename(&store, "production").await;
        assert!(registrar.admit().await.is_err());
        time::advance(RETRY).await;
        assert!(registrar.admit().await.is_ok());
        assert!(registrar.is_admitted());
    }

    #[tokio::test]
    async fn only_a_layer_that_declares_something_waits_for_the_first_answer() {
        let store = MemoryStore::new();
        assert!(registrar(&store, None).is_admitted());
        let declaring = registrar(&store, Some(environment("production")));
        assert!(!declaring.is_admitted());
        declaring.admit().await.unwrap();
        assert!(declaring.is_admitted());
    }

    #[tokio::test]
    async fn p06_a_layer_that_declares_nothing_is_refused_beside_one_that_does() {
        let store = MemoryStore::new();
        let undeclared = registrar(&store, None);
        undeclared.register().await.unwrap();
        let declaring = registrar(&store, Some(environment("production")));
        declaring.register().await.unwrap();
        assert!(undeclared.is_admitted());
        let refused = undeclared.register().await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            undeclared.admit().await.unwrap_err().to_string()
        );
        assert!(!undeclared.is_admitted());
    }
}
