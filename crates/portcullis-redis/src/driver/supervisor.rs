//! Watches the connection and replaces it when the server does not answer.
//!
//! The client library notices a closed connection and restores it, but never a server that hangs while
//! there is traffic: its own check counts from the last write. So the server is asked for its time, which
//! also keeps the clock right, and after two failures in a row nothing of the old client is trusted any more.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{Shared, connection::Connection, failure, inspect};
use crate::ConnectError;

const EVERY: Duration = Duration::from_millis(250);
const ANSWER: Duration = Duration::from_millis(250);
/// Between a suspicion and the look at it, so that a burst of errors causes one look.
const PAUSE: Duration = Duration::from_millis(20);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often the settings of the server are looked at again, and a demoted server is connected to anew.
const RECHECK: Duration = Duration::from_secs(60);
const DEMOTED: Duration = Duration::from_secs(1);

/// Runs until it is aborted.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut checked = Instant::now();
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            () = sleep(EVERY) => {}
            () = shared.suspicion.notified() => sleep(PAUSE).await,
        }
        if !answers(&shared).await && !answers(&shared).await {
            restore(&shared).await;
            renewed = Instant::now();
            checked = renewed;
        }
        if shared.demoted.swap(false, Ordering::Relaxed) && renewed.elapsed() > DEMOTED {
            renew(&shared).await;
            renewed = Instant::now();
        }
        if checked.elapsed() > RECHECK {
            recheck(&shared).await;
            checked = Instant::now();
        }
    }
}

async fn answers(shared: &Shared) -> bool {
    let connection = shared.connection();
    let sent = Instant::now();
    match timeout(ANSWER, connection.time()).await {
        Ok(Ok(server_ms)) => {
            shared.clock.learn(sent, server_ms);
            true
        }
        // A refusal is an answer too.
        Ok(Err(error)) if !failure::is_outage(&error) => true,
        Ok(Err(_)) => {
            // It failed at once: leave the library's own reconnection a moment.
            sleep(PAUSE).await;
            false
        }
        Err(_) => false,
    }
}

/// The server is down: says so to every caller, and tries until it is up.
async fn restore(shared: &Shared) {
    shared.down.store(true, Ordering::Relaxed);
    let since = Instant::now();
    tracing::error!(address = %shared.settings.address, "Redis does not answer; sessions are not available");
    let (mut pause, longest) = BACKOFF;
    let mut refused = String::new();
    loop {
        match Connection::open(&shared.settings).await {
            Ok((connection, sent, server_ms)) => {
                shared.clock.learn(sent, server_ms);
                shared.swap_in(connection);
                shared.down.store(false, Ordering::Relaxed);
                tracing::info!(address = %shared.settings.address, after = ?since.elapsed(), "Redis answers again");
                return recheck(shared).await;
            }
            // It answers but turns this client away: somebody has to mend that.
            Err(error @ ConnectError::Refused { .. }) if error.to_string() != refused => {
                refused = error.to_string();
                tracing::error!(%error, "Redis refuses the connection");
            }
            Err(error) => tracing::debug!(%error, "Redis still does not answer"),
        }
        // Not all applications at the same moment.
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(longest);
    }
}

/// The server answers but is not the primary any more: the address may lead to another one by now.
async fn renew(shared: &Shared) {
    match Connection::open(&shared.settings).await {
        Ok((connection, sent, server_ms)) => {
            shared.clock.learn(sent, server_ms);
            shared.swap_in(connection);
            recheck(shared).await;
        }
        Err(error) => tracing::warn!(%error, "Redis takes no writes, and a new connection failed"),
    }
}

async fn recheck(shared: &Shared) {
    if let Err(error) = inspect::again(&shared.connection(), &shared.settings).await {
        tracing::debug!(error = %failure::shown(&error), "Redis does not tell its settings");
    }
}
