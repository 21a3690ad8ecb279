//! Shared by the suites: an application, browsers that use it over real HTTP, the stores it runs
//! on, and gates that hold requests and store operations at chosen moments.
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_debug_implementations,
    reason = "only tests use it"
)]

mod app;
mod audit;
mod backend;
mod client;
mod cookie;
mod events;
mod gate;
mod live;
mod log;
mod monitor;
mod poll_schedule;
mod probe;
mod reply;
mod serve;
mod socket;
mod time;
mod world;

pub use self::{
    app::{ADMIN, Deploy, Device, Explained, LogLine, Operate, Payments, SessionView, routes},
    audit::CapturedAudit,
    backend::{Backend, Memory, Redis},
    client::{Call, Client, Flight},
    cookie::SetCookie,
    events::Events,
    gate::{Gate, Gates},
    log::CapturedLog,
    monitor::{Monitor, OBSERVE},
    poll_schedule::{late, some_polls, soon, within},
    probe::{Moment, Op, ProbeStore},
    reply::Reply,
    serve::Server,
    socket::Socket,
    time::{a_moment, about, hours, minutes, seconds},
    world::{COOKIE, World, key},
};

/// Makes a test of each scenario for each store.
///
/// A scenario is a function that is generic over its [`Backend`]. One that is not listed is dead
/// code, and the compiler says so.
#[macro_export]
macro_rules! on_every_store {
    ($($scenario:ident,)* $(@one_thread: $($lone:ident,)+)?) => {
        mod memory {
            $($crate::on_every_store!(@test "multi_thread" $scenario $crate::Memory);)*
            $($($crate::on_every_store!(@test "current_thread" $lone $crate::Memory);)+)?
        }
        mod redis {
            $($crate::on_every_store!(@test "multi_thread" $scenario $crate::Redis);)*
            $($($crate::on_every_store!(@test "current_thread" $lone $crate::Redis);)+)?
        }
    };
    (@test $flavor:tt $scenario:ident $store:ty) => {
        #[tokio::test(flavor = $flavor)]
        async fn $scenario() {
            super::$scenario::<$store>().await;
        }
    };
}
