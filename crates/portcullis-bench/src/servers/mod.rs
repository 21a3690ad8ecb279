//! The same small application on every system. Each runs in a process of its own.
//!
//! | route | answer |
//! |---|---|
//! | `GET /ignored` | `ok` |
//! | `POST /seed` | stores the body as a value of the session |
//! | `GET /read` | length and beginning of that value |
//! | `POST /write` | a counter in the session, after adding one |
//! | `POST /sign-in/{user}` | the user, and what `/read` says |
//! | `GET /who` | the user of the session, or `nobody` |

mod floor;
mod portcullis;
mod raw_get;
mod tower_sessions;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use axum::{Router, serve::ListenerExt};

use crate::{
    Result,
    case::Case,
    process::{Cores, Running},
    redis,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    Axum,
    RawGet,
    Portcullis,
    PortcullisMemory,
    TowerSessions,
    TowerSessionsOne,
}

impl System {
    pub(crate) const ALL: [Self; 6] = [
        Self::Axum,
        Self::RawGet,
        Self::Portcullis,
        Self::TowerSessions,
        Self::TowerSessionsOne,
        Self::PortcullisMemory,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::RawGet => "raw-get",
            Self::Portcullis => "portcullis",
            Self::PortcullisMemory => "portcullis-memory",
            Self::TowerSessions => "tower-sessions",
            Self::TowerSessionsOne => "tower-sessions-1",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Axum => "axum alone",
            Self::RawGet => "axum + one raw GET",
            Self::Portcullis => "Portcullis, Redis",
            Self::PortcullisMemory => "Portcullis, memory",
            Self::TowerSessions => "tower-sessions, pool of 6",
            Self::TowerSessionsOne => "tower-sessions, pool of 1",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    pub(crate) fn has_sessions(self) -> bool {
        !matches!(self, Self::Axum | Self::RawGet)
    }

    pub(crate) fn takes_part_in(self, case: Case) -> bool {
        match self {
            Self::Portcullis | Self::TowerSessions => true,
            Self::RawGet => case == Case::Read,
            Self::Axum | Self::PortcullisMemory | Self::TowerSessionsOne => case != Case::Touch,
        }
    }
}

/// What a server process is told.
#[derive(Debug)]
pub(crate) struct Settings {
    system: System,
    redis: String,
    idle: Duration,
}

impl Settings {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut next = || words.next().ok_or("serve needs: SYSTEM REDIS IDLE");
        Ok(Self {
            system: System::named(&next()?).ok_or("not a system")?,
            redis: next()?,
            idle: Duration::from_secs(next()?.parse()?),
        })
    }
}

/// A server process.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) process: Running,
}

/// Starts a server process and waits until it listens.
pub(crate) fn spawn(
    system: System,
    idle: Duration,
    redis: &redis::Server,
    cores: &Cores,
) -> Result<Served> {
    let mut process = cores
        .for_server(std::env::current_exe()?)
        .args(["serve", system.name(), &redis.address().to_string()])
        .arg(idle.as_secs().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = process.stdout.take();
    let process = Running(process);
    let mut line = String::new();
    BufReader::new(stdout.ok_or("no output")?).read_line(&mut line)?;
    let address = line
        .trim_end()
        .parse()
        .map_err(|_| format!("the server of {} did not start", system.title()))?;
    Ok(Served { address, process })
}

/// What the server process does: serves until its standard input is closed.
///
/// One thread: with a core of its own, that is what every system does best with, and it leaves no choice to
/// the scheduler.
pub(crate) fn serve(settings: &Settings) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let app = app(settings).await?;
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, app).await?)
    })
}

async fn app(settings: &Settings) -> Result<Router> {
    let (redis, idle) = (&settings.redis, settings.idle);
    match settings.system {
        System::Axum => Ok(floor::app()),
        System::RawGet => raw_get::app(redis).await,
        System::Portcullis => portcullis::on_redis(redis, idle).await,
        System::PortcullisMemory => portcullis::in_memory(idle),
        System::TowerSessions => tower_sessions::app(redis, idle, 6).await,
        System::TowerSessionsOne => tower_sessions::app(redis, idle, 1).await,
    }
}

/// Shows that a value was read.
pub(crate) fn proof(payload: &str) -> String {
    let beginning = payload.get(..16).unwrap_or(payload);
    format!("{} {beginning}", payload.len())
}

async fn ignored() -> &'static str {
    "ok"
}
