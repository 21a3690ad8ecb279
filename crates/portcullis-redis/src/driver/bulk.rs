//! A second connection to a server, for long answers: short answers never wait behind them.
//!
//! The first caller that needs it opens it, all callers share it, and it closes after half a minute
//! without use. Its failures say nothing about the server: only the callers that use it fail.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portcullis_core::store::StoreError;
use tokio::{runtime::Handle as Runtime, sync::watch, time::Instant};

use super::{connection::Connection, failure};
use crate::ConnectError;

/// How long it stays open without use.
const LINGER: Duration = Duration::from_secs(30);

/// The second connection, if there is one.
#[derive(Default)]
pub(super) struct Bulk {
    current: Mutex<Option<Current>>,
}

struct Current {
    opened: watch::Receiver<Opened>,
    used: Instant,
}

#[derive(Clone)]
enum Opened {
    NotYet,
    Is(Arc<Connection>),
    Failed(String),
}

impl Current {
    fn is_usable(&self) -> bool {
        match &*self.opened.borrow() {
            // The task that opens it ends without a result only with its runtime.
            Opened::NotYet => self.opened.has_changed().is_ok(),
            Opened::Is(connection) => !connection.is_closed(),
            Opened::Failed(_) => false,
        }
    }
}

impl Bulk {
    /// The connection, and whether it was opened for this call. A task on `runtime` opens it once
    /// for all callers that wait, and goes on if a caller gives up.
    pub(super) async fn connection<F>(
        &self,
        runtime: &Runtime,
        open: impl FnOnce() -> Result<F, StoreError>,
    ) -> Result<(Arc<Connection>, bool), StoreError>
    where
        F: Future<Output = Result<Connection, ConnectError>> + Send + 'static,
    {
        let (mut opened, is_new) = self.join(runtime, open)?;
        let opened = opened.wait_for(|opened| !matches!(opened, Opened::NotYet));
        match opened.await.as_deref() {
            Ok(Opened::Is(connection)) => Ok((Arc::clone(connection), is_new)),
            Ok(Opened::Failed(reason)) => Err(failure::no_second_connection(reason.clone())),
            Ok(Opened::NotYet) | Err(_) => {
                Err(failure::no_second_connection("it was given up".to_owned()))
            }
        }
    }

    fn join<F>(
        &self,
        runtime: &Runtime,
        open: impl FnOnce() -> Result<F, StoreError>,
    ) -> Result<(watch::Receiver<Opened>, bool), StoreError>
    where
        F: Future<Output = Result<Connection, ConnectError>> + Send + 'static,
    {
        let mut current = self.lock();
        if let Some(current) = current.as_mut().filter(|current| current.is_usable()) {
            current.used = Instant::now();
            return Ok((current.opened.clone(), false));
        }
        let opening = open()?;
        let (sender, opened) = watch::channel(Opened::NotYet);
        runtime.spawn(async move {
            let opened = match opening.await {
                Ok(connection) => Opened::Is(Arc::new(connection)),
                Err(error) => Opened::Failed(error.to_string()),
            };
            sender.send_replace(opened);
        });
        *current = Some(Current {
            opened: opened.clone(),
            used: Instant::now(),
        });
        Ok((opened, true))
    }

    /// Drops a connection that failed. The next caller opens another one.
    pub(super) fn discard(&self, failed: &Arc<Connection>) {
        let mut current = self.lock();
        let is_it = |current: &Current| match &*current.opened.borrow() {
            Opened::Is(connection) => Arc::ptr_eq(connection, failed),
            _ => false,
        };
        if current.as_ref().is_some_and(is_it) {
            *current = None;
        }
    }

    /// Closes it if it has not been used for [`LINGER`].
    pub(super) fn close_if_idle(&self) {
        let mut current = self.lock();
        if current
            .as_ref()
            .is_some_and(|current| current.used.elapsed() > LINGER)
        {
            *current = None;
        }
    }

    /// Closes it as soon as its users have their answers.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
