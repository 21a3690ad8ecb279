//! Watches the connection and replaces it when the server does not answer.
//!
//! The client library notices a closed connection and restores it, but never a server that hangs while
//! there is traffic: its own check counts from the last write. So the server is asked for its time, which
//! also keeps the clock right, and after two failures in a row nothing of the old client is trusted any more. The two
//! together take as long as an operation may, so that no operation fails before its wait is over.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{Shared, StillClock, backoff::Backoff, budget::Budget, failure, inspect, sentinel};
use crate::{ConnectError, address::Layout, endpoint::Endpoint};

const EVERY: Duration = Duration::from_millis(250);
const ANSWER: Duration = Duration::from_millis(250);
/// Between a suspicion and the look at it, so that a burst of errors causes one look.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the settings of the server are looked at again, and a demoted server is connected to anew.
const RECHECK: Duration = Duration::from_secs(60);
const DEMOTED: Duration = Duration::from_secs(1);

/// How often Sentinel is asked whether the primary is still the one.
const ASKED: Duration = Duration::from_secs(1);

/// A node that is watched. Once this is dropped it is not: nothing heals any more.
pub(super) struct Watched(Arc<Shared>);

impl Watched {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.unwatched.store(true, Ordering::Relaxed);
        self.0.down.store(true, Ordering::Release);
    }
}

/// Runs until it is aborted, or its runtime ends.
pub(super) async fn watch(Watched(shared): &Watched) {
    let mut budget = Budget::new();
    if shared.connection().is_none() {
        restore(shared).await;
    }
    budget.look(shared).await;
    let mut checked = Instant::now();
    let mut renewed = Instant::now();
    let mut asked = Instant::now();
    loop {
        tokio::select! {
            () = sleep(EVERY) => {}
            () = shared.suspicion.notified() => sleep(PAUSE).await,
        }
        if !answers(shared).await && !answers(shared).await {
            restore(shared).await;
            budget.look(shared).await;
            renewed = Instant::now();
            checked = renewed;
        }
        shared.bulk.close_if_idle();
        budget.look_if_due(shared).await;
        if asked.elapsed() > ASKED {
            if is_replaced(shared).await {
                tracing::warn!(address = %shared.settings.address, "another server is the primary");
                renew(shared).await;
                renewed = Instant::now();
            }
            asked = Instant::now();
        }
        if shared.demoted.swap(false, Ordering::Relaxed) && renewed.elapsed() > DEMOTED {
            renew(shared).await;
            renewed = Instant::now();
        }
        if checked.elapsed() > RECHECK {
            recheck(shared).await;
            checked = Instant::now();
        }
    }
}

async fn answers(shared: &Shared) -> bool {
    let Some(connection) = shared.connection() else {
        return false;
    };
    let answer = shared.settings.answer();
    let _still = StillClock::hold();
    let sent = Instant::now();
    match timeout(answer, connection.time_within(answer)).await {
        Ok(Ok(server_ms)) => {
            shared.learn(sent, server_ms);
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

/// Whether another server is the primary by now, as most of the Sentinels say or as this one itself does. One that was
/// cut off from the Sentinels still answers, and knows nothing of what has happened since.
async fn is_replaced(shared: &Shared) -> bool {
    let Layout::Sentinel(sentinels) = shared.settings.address.layout() else {
        return false;
    };
    let Some(connection) = shared.connection() else {
        return false;
    };
    if let Ok(Ok(false)) = timeout(ANSWER, connection.is_primary()).await {
        return true;
    }
    // As a rule one of them is enough to know that all is as it was.
    let one = rand::random_range(0..sentinels.endpoints.len());
    let Some(one) = sentinels.endpoints.get(one) else {
        return false;
    };
    let is_ours = |named: &Endpoint| connection.endpoint() == Some(named);
    match timeout(ANSWER, sentinel::primary(&shared.settings, sentinels, one)).await {
        Ok(Ok(named)) if !is_ours(&named) => {}
        _ => return false,
    }
    let elected = sentinel::elected(&shared.settings, sentinels).await;
    elected.is_some_and(|named| !is_ours(&named))
}

/// The server is down: says so to every caller, and tries until it is up.
async fn restore(shared: &Shared) {
    let mut told = shared.connection().is_some();
    shared.down.store(true, Ordering::Release);
    shared.bulk.close();
    shared.suspect_elsewhere();
    let since = Instant::now();
    if told {
        tracing::error!(address = %shared.settings.address, "Redis does not answer; sessions are not available");
    }
    let mut backoff = Backoff::new();
    let mut refused = String::new();
    loop {
        match shared.open().await {
            Ok((connection, sent, server_ms)) => {
                shared.put_up(connection, sent, server_ms);
                if told {
                    tracing::info!(address = %shared.settings.address, after = ?since.elapsed(), "Redis answers again");
                }
                return recheck(shared).await;
            }
            // It answers, but no connection comes about: somebody has to mend that.
            Err(
                error @ (ConnectError::Refused { .. }
                | ConnectError::Certificate { .. }
                | ConnectError::Database { .. }),
            ) if error.to_string() != refused => {
                refused = error.to_string();
                tracing::error!(%error, "there is no connection to Redis until this is mended");
            }
            Err(error) if !told => {
                told = true;
                tracing::error!(%error, "sessions are not available");
            }
            Err(error) => tracing::debug!(%error, "Redis still does not answer"),
        }
        backoff.wait().await;
    }
}

/// The server answers but is not the primary any more: the address may lead to another one by now.
async fn renew(shared: &Shared) {
    match shared.open().await {
        Ok((connection, sent, server_ms)) => {
            shared.put_up(connection, sent, server_ms);
            recheck(shared).await;
        }
        Err(error) => tracing::warn!(%error, "Redis takes no writes, and a new connection failed"),
    }
}

async fn recheck(shared: &Shared) {
    let Some(connection) = shared.connection() else {
        return;
    };
    if let Err(error) = inspect::again(&connection, &shared.settings).await {
        tracing::debug!(error = %failure::shown(&error), "Redis does not tell its settings");
    }
}
