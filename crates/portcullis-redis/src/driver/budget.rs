//! How full the memory of a server is, so that visitors do not take the room that sign-ins need.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{Shared, failure};
use crate::info::Info;

/// From this part of `maxmemory` on, in percent, sessions without a user are refused.
pub(crate) const FOR_VISITORS: u8 = 75;

const EVERY: Duration = Duration::from_secs(1);
/// After so many visitors it is looked at without waiting for that: a flood does not take a second.
const AT_MOST: u32 = 500;
/// Where the server does not tell. Each refusal may be noted in its `ACL LOG`.
const WITHHELD: Duration = Duration::from_secs(60);

/// Whether visitors are let in, and how many were since memory was last looked at.
#[derive(Debug, Default)]
pub(super) struct Visitors {
    refused: AtomicBool,
    admitted: AtomicU32,
}

impl Visitors {
    /// Whether one more is let in, and whether it is time to look at memory.
    pub(super) fn admit(&self) -> (bool, bool) {
        if self.refused.load(Ordering::Relaxed) {
            return (false, false);
        }
        let before = self.admitted.fetch_add(1, Ordering::Relaxed);
        (true, before.saturating_add(1) == AT_MOST)
    }
}

/// Looks at the memory of one server.
pub(super) struct Budget {
    next: Instant,
    withheld: bool,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now(),
            withheld: false,
        }
    }

    /// Looks now, whatever was seen before: it may be another server.
    pub(super) async fn look(&mut self, shared: &Shared) {
        self.next = Instant::now();
        self.look_if_due(shared).await;
    }

    pub(super) async fn look_if_due(&mut self, shared: &Shared) {
        let many = shared.visitors.admitted.load(Ordering::Relaxed) >= AT_MOST;
        if Instant::now() < self.next && (self.withheld || !many) {
            return;
        }
        let Some(connection) = shared.connection() else {
            return;
        };
        self.next = Instant::now() + EVERY;
        shared.visitors.admitted.store(0, Ordering::Relaxed);
        match timeout(shared.settings.answer(), connection.memory()).await {
            Ok(Ok(text)) => match used(Info::new(&text)) {
                Some(percent) => {
                    self.withheld = false;
                    set(shared, percent >= FOR_VISITORS, percent);
                }
                None => self.without(shared),
            },
            Ok(Err(error)) if !failure::is_outage(&error) => self.without(shared),
            // Whether the server is there at all is for others to find out.
            _ => {}
        }
    }

    /// The server does not tell.
    fn without(&mut self, shared: &Shared) {
        set(shared, false, 0);
        self.next = Instant::now() + WITHHELD;
        if !self.withheld {
            tracing::warn!(
                address = %shared.settings.address,
                "Redis does not tell how full its memory is, so nothing keeps sessions without a user from filling it; \
                 grant +info"
            );
            self.withheld = true;
        }
    }
}

fn set(shared: &Shared, refused: bool, percent: u8) {
    let before = shared.visitors.refused.swap(refused, Ordering::Relaxed);
    let address = &shared.settings.address;
    match (before, refused) {
        (false, true) => tracing::error!(
            %address,
            percent,
            "the memory of Redis is nearly full: sessions without a user are refused, so that people can still sign \
             in; raise maxmemory"
        ),
        (true, false) => {
            tracing::info!(%address, "Redis has room for sessions without a user again");
        }
        _ => {}
    }
}

/// How much of its memory the server uses, in percent; nothing if it has no limit, or if it throws something away when it
/// is full, as it always is then. `None` if it does not tell.
fn used(info: Info<'_>) -> Option<u8> {
    let limit = info.number("maxmemory")?;
    let used = info.number("used_memory")?;
    if limit == 0 || info.evicts() {
        return Some(0);
    }
    // What the server itself does not count when it decides whether memory is full.
    let counted = used.saturating_sub(info.number("mem_not_counted_for_evict").unwrap_or(0));
    let percent = u128::from(counted) * 100 / u128::from(limit);
    Some(u8::try_from(percent).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(maxmemory: &str, policy: &str) -> Option<u8> {
        used(Info::new(&format!(
            "used_memory:850\r\nmaxmemory:{maxmemory}\r\nmaxmemory_policy:{policy}\r\n\
             mem_not_counted_for_evict:100\r\n"
        )))
    }

    #[test]
    fn what_counts_is_the_part_of_the_limit_that_the_server_counts() {
        assert_eq!(told("1000", "noeviction"), Some(75));
        assert_eq!(told("1001", "noeviction"), Some(74));
        assert_eq!(told("1", "noeviction"), Some(u8::MAX));
    }

    #[test]
    fn without_a_limit_and_with_eviction_there_is_no_budget() {
        assert_eq!(told("0", "noeviction"), Some(0));
        assert_eq!(told("750", "volatile-ttl"), Some(0));
        assert_eq!(told("750", "allkeys-lru"), Some(0));
    }

    #[test]
    fn a_server_that_hides_its_memory_is_told_from_one_that_has_room() {
        assert_eq!(used(Info::new("")), None);
        assert_eq!(used(Info::new("maxmemory:100\r\n")), None);
        let without_policy = Info::new("maxmemory:100\r\nused_memory:80\r\n");
        assert_eq!(used(without_policy), Some(80));
    }
}
