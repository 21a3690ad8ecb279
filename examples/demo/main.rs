//! A small shop, with Portcullis at its door: `cargo run --example demo`
//!
//! | variable | what it does |
//! |---|---|
//! | `REDIS_URL` | keeps the sessions in Redis instead of memory: `redis://127.0.0.1:6379` |
//! | `PORT` | another port than 3000 |
//! | `ADDR` | another address than 127.0.0.1:3000, such as `0.0.0.0:3000` |
//! | `DEMO_TIMEOUTS=120,600,60` | idle, absolute and elevation timeout in seconds, instead of `policy.toml`; the last one is also the privileged idle timeout |
//! | `DEMO_INSECURE_COOKIE=1` | for Safari, which refuses `Secure` cookies on http://localhost |
//! | `RUST_LOG` | what is logged; by default the events of sessions are |

mod account;
mod activity;
mod app;
mod cart;
mod catalogue;
mod confirm;
mod devices;
mod error;
mod letter;
mod limits;
mod live;
mod news;
mod operations;
mod page;
mod panel;
mod policy;
mod sign_in;
#[cfg(test)]
mod tests;
mod users;

use std::{
    env,
    error::Error,
    future::IntoFuture,
    io,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use axum::Router;
use portcullis::{CookieConfig, MemoryStore, RedisStore, SessionLayer, Timeouts};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::{app::app, limits::limited, users::Users};

/// The time that open requests have once the program is asked to stop.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let address = address()?;
    let sessions = match env::var("REDIS_URL") {
        Ok(url) => SessionLayer::new(RedisStore::connect(&url).await?),
        Err(_) => SessionLayer::new(MemoryStore::new()),
    };
    let app = app(configured(sessions)?, Users::new()?)?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| sentence(address, &error))?;
    serve(listener, app).await?;
    Ok(())
}

#[allow(clippy::print_stdout, reason = "a program prints its address")]
async fn serve(listener: TcpListener, app: Router) -> io::Result<()> {
    let address = listener.local_addr()?;
    // Browsers treat `localhost` as secure, so that `Secure` cookies work there without TLS.
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        println!("Listening on http://localhost:{}", address.port());
    } else {
        println!("Listening on http://{address}");
    }
    let serving = axum::serve(listener, app).with_graceful_shutdown(asked_to_stop());
    tokio::select! {
        served = serving.into_future() => served,
        // Open requests are finished, but a stream never ends by itself.
        () = async {
            asked_to_stop().await;
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    }
}

fn address() -> Result<SocketAddr, String> {
    if let Ok(address) = env::var("ADDR") {
        return address.parse().map_err(|_| {
            format!("ADDR is {address:?}; it must be an address and a port, such as 0.0.0.0:3000.")
        });
    }
    let port = match env::var("PORT") {
        Ok(port) => port.parse().map_err(|_| {
            format!("PORT is {port:?}; it must be a number from 1 to 65535, such as 3001.")
        })?,
        Err(_) => 3000,
    };
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

fn sentence(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "Port {} is taken by another program; stop that one, or choose another port with PORT=3001.",
            address.port()
        ),
        _ => format!("The address {address} cannot be used: {error}."),
    }
}

fn configured(mut sessions: SessionLayer) -> Result<SessionLayer, Box<dyn Error>> {
    let asked_for = env::var("DEMO_TIMEOUTS").ok();
    let asked_for = asked_for.as_deref().map(timeouts).transpose()?;
    sessions = limited(sessions, asked_for)?;
    if is_on("DEMO_INSECURE_COOKIE") {
        sessions = sessions.cookie(CookieConfig::insecure_for_local_development());
    }
    Ok(sessions)
}

fn timeouts(seconds: &str) -> Result<Timeouts, Box<dyn Error>> {
    let parsed: Result<Vec<u64>, _> = seconds.split(',').map(|part| part.trim().parse()).collect();
    let Ok([idle, absolute, elevation]) = parsed.as_deref() else {
        return Err(format!(
            "DEMO_TIMEOUTS is {seconds:?}; it must be three numbers of seconds, such as 120,600,60."
        )
        .into());
    };
    let [idle, absolute, elevation] = [*idle, *absolute, *elevation].map(Duration::from_secs);
    let timeouts = Timeouts::new(idle, absolute)?.with_elevation(elevation)?;
    Ok(timeouts.with_privileged_idle(elevation)?)
}

fn is_on(name: &str) -> bool {
    env::var(name).is_ok_and(|value| value == "1")
}

/// Returns at Ctrl-C, or at the signal that stops containers.
async fn asked_to_stop() {
    let interrupt = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "Ctrl-C is not noticed");
            std::future::pending().await
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(error) => {
                tracing::warn!(%error, "SIGTERM is not noticed");
                std::future::pending().await
            }
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        _ = terminate => {}
    }
}
