//! The task that tells the store's registry which realm is in use.

use std::{convert::Infallible, sync::Arc, time::Duration};

use portcullis_core::store::Register;
use tokio::{runtime::Handle as Runtime, sync::oneshot, time};

use crate::{dyn_store::DynStore, sweeper::Alive};

/// What the registry is to know of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The name of the cookie.
    pub(crate) cookie: String,
    /// The longest absolute timeout of its sessions.
    pub(crate) longest: Duration,
}

/// How old "last seen" may be.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// After a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// Starts it. It ends when what is returned is dropped.
pub(crate) fn start(
    runtime: &Runtime,
    registration: Registration,
    store: &Arc<dyn DynStore>,
) -> Alive {
    let (alive, gone) = oneshot::channel();
    runtime.spawn(run(registration, Arc::clone(store), gone));
    alive
}

async fn run(
    registration: Registration,
    store: Arc<dyn DynStore>,
    mut gone: oneshot::Receiver<Infallible>,
) {
    let Registration { cookie, longest } = &registration;
    let mut fails = false;
    loop {
        let pause = match store.register(Register::new(cookie, *longest)).await {
            Ok(()) => {
                fails = false;
                EVERY
            }
            Err(error) => {
                if !fails {
                    fails = true;
                    tracing::warn!(%error, "the realm of sessions could not be registered; what acts on all realms may miss it");
                }
                AGAIN
            }
        };
        if !crate::sweeper::has_timers() || time::timeout(pause, &mut gone).await.is_ok() {
            return;
        }
    }
}
