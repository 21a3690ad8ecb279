//! A second connection to a server, for long answers: short ones never wait behind them.
//!
//! It is opened when it is first needed, shared, and closed after half a minute without use. It does not say whether the
//! server is down: what fails on it fails alone.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portcullis_core::store::StoreError;
use tokio::{runtime::Handle as Runtime, sync::watch, time::Instant};

use super::{connection::Connection, failure};
use crate::ConnectError;

/// How long it stays without use.
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
            // If whoever opens it is gone, so is its runtime.
            Opened::NotYet => self.opened.has_changed().is_ok(),
            Opened::Is(connection) => !connection.is_over(),
            Opened::Failed(_) => false,
        }
    }
}

impl Bulk {
    /// The connection, and whether it was opened for this call. It is opened on `runtime`, by one for all who wait, and
    /// further if the caller gives up meanwhile.
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
        let (tell, opened) = watch::channel(Opened::NotYet);
        runtime.spawn(async move {
            let opened = match opening.await {
                Ok(connection) => Opened::Is(Arc::new(connection)),
                Err(error) => Opened::Failed(error.to_string()),
            };
            tell.send_replace(opened);
        });
        *current = Some(Current {
            opened: opened.clone(),
            used: Instant::now(),
        });
        Ok((opened, true))
    }

    /// It failed: the next one who needs it opens another.
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

    /// Closes it if nobody has used it for a while.
    pub(super) fn close_if_idle(&self) {
        let mut current = self.lock();
        if current
            .as_ref()
            .is_some_and(|current| current.used.elapsed() > LINGER)
        {
            *current = None;
        }
    }

    /// Closes it once those who use it have their answers.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
