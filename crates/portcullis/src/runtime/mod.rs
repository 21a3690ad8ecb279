//! The state that the requests of a layer share, and its background tasks.

pub(crate) mod audit;
pub(crate) mod context;
pub(crate) mod current_policy;
pub(crate) mod dyn_store;
pub(crate) mod ending;
pub(crate) mod jitter;
mod listener;
#[cfg(feature = "policy")]
pub(crate) mod live_policy;
mod log_queue;
pub(crate) mod poll_schedule;
pub(crate) mod registration;
mod reported;
pub(crate) mod requirement;
#[cfg(test)]
mod samples;
#[cfg(feature = "policy")]
pub(crate) mod settling;
pub(crate) mod shared;
pub(crate) mod sweeper;
pub(crate) mod task;
pub(crate) mod walk;
pub(crate) mod watch;
pub(crate) mod watch_registry;
