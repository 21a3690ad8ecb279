//! Background task that registers the layer's realm in the store.

use std::{convert::Infallible, sync::Arc, time::Duration};

use portcullis_core::store::Register;
use tokio::{runtime::Handle as Runtime, sync::oneshot, time};

use crate::runtime::{
    dyn_store::DynStore,
    task::{Alive, has_timers},
};

/// The entry of a layer in the store's registry of realms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The name of the cookie.
    pub(crate) cookie: String,
    /// The longest absolute timeout of its sessions.
    pub(crate) longest: Duration,
}

/// The time between two registrations. The registry's "last seen" is at most that old.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// The time until the next attempt after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Starts the task. It ends when the returned value is dropped.
pub(crate) fn start(
    runtime: &Runtime,
    registration: Registration,
    store: &Arc<dyn DynStore>,
) -> Alive {
    let (alive, dropped) = oneshot::channel();
    runtime.spawn(run(registration, Arc::clone(store), dropped));
    alive
}

async fn run(
    registration: Registration,
    store: Arc<dyn DynStore>,
    mut dropped: oneshot::Receiver<Infallible>,
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
