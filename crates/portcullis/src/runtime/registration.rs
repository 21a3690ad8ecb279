//! The registration of the layer's realm in the store, by a background task and before the first
//! sessions.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis_core::{
    Class, Environment, Realm,
    store::{RealmConflict, Register, Registered, StoreError, StoreErrorKind},
};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Notify, oneshot},
    time,
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
    /// Whether requests may use sessions. Read by each of them, so the rest is behind a lock.
    is_admitted: AtomicBool,
    /// Why the registry last refused the registration. `None` if it has accepted it since, or was
    /// never asked.
    refusal: Mutex<Option<StoreError>>,
    /// Notified of each refusal, for the task to repeat the registration soon.
    refused: Notify,
}

impl Registrar {
    pub(crate) fn new(store: Arc<dyn DynStore>, registration: Registration) -> Self {
        Self {
            store,
            is_admitted: AtomicBool::new(!registration.declares()),
            registration,
            refusal: Mutex::new(None),
            refused: Notify::new(),
        }
    }

    /// Whether requests may use sessions, as far as is known. If not, [`admit`](Self::admit) finds
    /// out.
    pub(crate) fn is_admitted(&self) -> bool {
        self.is_admitted.load(Ordering::Relaxed)
    }

    /// Returns once requests may use sessions. Until the first answer of the registry, each caller
    /// asks for itself, so that none waits longer than the store takes.
    pub(crate) async fn admit(&self) -> Result<(), StoreError> {
        let refusal = self.refusal().clone();
        match refusal {
            Some(refusal) => Err(refusal),
            None => self.register().await,
        }
    }

    /// Registers the realm, and notes the answer.
    pub(crate) async fn register(&self) -> Result<(), StoreError> {
        let Registration {
            cookie,
            longest,
            environment,
            classes,
        } = &self.registration;
        let register = Register::new(cookie, *longest, environment.as_ref(), classes);
        match self.store.register(register).await? {
            Registered::Done => {
                self.note(None);
                Ok(())
            }
            Registered::Refused(conflict) => {
                let refusal = refusal(&self.store.realm(), conflict);
                self.note(Some(refusal.clone()));
                Err(refusal)
            }
        }
    }

    /// Notes the registry's answer, and logs it if it is another one than before.
    fn note(&self, refusal: Option<StoreError>) {
        let before = {
            let mut noted = self.refusal();
            self.is_admitted.store(refusal.is_none(), Ordering::Relaxed);
            std::mem::replace(&mut *noted, refusal.clone())
        };
        let text = |refusal: &Option<StoreError>| refusal.as_ref().map(ToString::to_string);
        match (text(&before), text(&refusal)) {
            (before, Some(now)) if before.as_ref() != Some(&now) => {
                tracing::error!(error = %now, "no session can be used");
            }
            (Some(_), None) => {
                tracing::info!("the registry has accepted the realm, so sessions can be used")
            }
            _ => {}
        }
        if refusal.is_some() {
            self.refused.notify_one();
        }
    }

    fn refusal(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of every use of a session while the registry refuses the realm.
fn refusal(realm: &Realm, conflict: RealmConflict) -> StoreError {
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
                if !fails && registrar.refusal().is_none() {
                    fails = true;
                    tracing::warn!(%error, "the realm of sessions could not be registered; operations on all realms may miss it");
                }
                RETRY
            }
        };
        if !has_timers() {
            return;
        }
        tokio::select! {
            _ = &mut dropped => return,
            () = time::sleep(pause) => {}
            // The application asked the registry and was refused.
            () = registrar.refused.notified() => {
                if time::timeout(RETRY, &mut dropped).await.is_ok() {
                    return;
                }
            }
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
    async fn a_refusal_of_the_application_is_soon_checked_again() {
        let store = MemoryStore::new();
        let registrar = registrar(&store, Some(environment("production")));
        let _alive = start(&Runtime::current(), &registrar);
        time::sleep(RETRY * 10).await;
        assert!(registrar.is_admitted());
        rename(&store, "live").await;
        assert!(registrar.register().await.is_err());
        rename(&store, "production").await;
        assert!(!registrar.is_admitted());
        time::sleep(RETRY * 2).await;
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
