//! Points at which a test can hold a request, so that races happen in the order the test wants.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

/// Longer than any working request takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// Holds each caller until it is opened. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    arrived: Semaphore,
    abandoned: Semaphore,
    open: Semaphore,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        let none = || Semaphore::new(0);
        Self(Arc::new(Inner {
            arrived: none(),
            abandoned: none(),
            open: none(),
        }))
    }

    /// Waits in front of the gate until it is opened.
    pub async fn pass(&self) {
        self.arrive();
        // A semaphore that is closed is a gate that is open.
        let _ = self.watch(self.0.open.acquire()).await;
    }

    /// Arrives at the gate without waiting.
    pub(crate) fn arrive(&self) {
        self.0.arrived.add_permits(1);
    }

    /// Forgets the arrivals.
    pub(crate) fn forget(&self) {
        let arrived = &self.0.arrived;
        arrived.forget_permits(arrived.available_permits());
    }

    /// Runs `work`, and notes if it is dropped before its end.
    pub(crate) async fn watch<F: Future>(&self, work: F) -> F::Output {
        let mut given_up = GivenUp(Some(&self.0.abandoned));
        let output = work.await;
        given_up.0 = None;
        output
    }

    /// Returns when a caller has arrived at the gate. Each arrival counts once.
    pub async fn reached(&self) {
        take(&self.0.arrived, "no caller arrived at the gate").await;
    }

    /// Returns when a caller was dropped before it passed.
    pub async fn abandoned(&self) {
        take(&self.0.abandoned, "no caller was dropped at the gate").await;
    }

    /// Lets all present and later callers pass.
    pub fn open(&self) {
        self.0.open.close();
    }
}

async fn take(semaphore: &Semaphore, otherwise: &str) {
    let permit = timeout(GIVE_UP_AFTER, semaphore.acquire()).await;
    permit.expect(otherwise).expect("never closed").forget();
}

struct GivenUp<'a>(Option<&'a Semaphore>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(abandoned) = self.0 {
            abandoned.add_permits(1);
        }
    }
}

/// Gates that requests name in a header. Clones are the same gates.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<HashMap<String, Gate>>>);

impl Gates {
    /// Gives the gate a name.
    pub(crate) fn put(&self, gate: &Gate) -> String {
        let mut gates = self.0.lock().expect("gates");
        let name = gates.len().to_string();
        gates.insert(name.clone(), gate.clone());
        name
    }

    pub(crate) fn named(&self, name: &str) -> Gate {
        self.0.lock().expect("gates")[name].clone()
    }
}
