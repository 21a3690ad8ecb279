//! The same small application on every system. Each runs in a process of its own.
//!
//! | route | answer |
//! |---|---|
//! | `GET /ignored` | `ok` |
//! | `POST /seed` | stores the body as a value of an anonymous session |
//! | `POST /enter/{user}` | signs in where there was no session, and stores the body as a value |
//! | `GET /read` | length and beginning of that value |
//! | `POST /write` | a counter in the session, after adding one |
//! | `POST /sign-in/{user}` | the user, and what `/read` says |
//! | `POST /sign-out` | `ok` |
//! | `GET /sessions` | how many sessions the user of the session has |
//! | `POST /revoke-all/{user}` | how many sessions were ended |
//! | `GET /who` | the user of the session, or `none` |
//!
//! One that keeps no data answers with the user where others answer with a value.

#[cfg(feature = "peers")]
mod actix;
#[cfg(feature = "peers")]
mod axum_session;
mod floor;
mod portcullis;
mod raw;
#[cfg(feature = "peers")]
mod session_guard;
#[cfg(feature = "peers")]
mod tower_sessions;

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{ChildStdin, ChildStdout, Stdio},
    time::Duration,
};

use axum::{Router, serve::ListenerExt};
use serde::{Deserialize, Serialize};

pub(crate) use self::portcullis::in_memory;
use crate::{
    Allocated, Result,
    case::Case,
    process::{Cores, Running},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum System {
    Axum,
    AxumLayer,
    RawGet,
    RawGetRedis,
    RawScript,
    RawScriptRedis,
    Portcullis,
    PortcullisMemory,
    SessionGuard,
    TowerSessions,
    TowerSessionsOne,
    AxumSession,
    AxumSessionCached,
    Actix,
    ActixSession,
}

impl System {
    pub(crate) const ALL: [Self; 15] = [
        Self::Axum,
        Self::AxumLayer,
        Self::RawGet,
        Self::RawGetRedis,
        Self::RawScript,
        Self::RawScriptRedis,
        Self::Portcullis,
        Self::PortcullisMemory,
        Self::SessionGuard,
        Self::TowerSessions,
        Self::TowerSessionsOne,
        Self::AxumSession,
        Self::AxumSessionCached,
        Self::Actix,
        Self::ActixSession,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::AxumLayer => "axum-layer",
            Self::RawGet => "raw-get",
            Self::RawGetRedis => "raw-get-redis",
            Self::RawScript => "raw-script",
            Self::RawScriptRedis => "raw-script-redis",
            Self::Portcullis => "portcullis",
            Self::PortcullisMemory => "portcullis-memory",
            Self::SessionGuard => "session-guard",
            Self::TowerSessions => "tower-sessions",
            Self::TowerSessionsOne => "tower-sessions-1",
            Self::AxumSession => "axum-session",
            Self::AxumSessionCached => "axum-session-cached",
            Self::Actix => "actix",
            Self::ActixSession => "actix-session",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Axum => "axum alone",
            Self::AxumLayer => "axum + an empty layer",
            Self::RawGet => "axum + a bare GET, fred",
            Self::RawGetRedis => "axum + a bare GET, redis-rs",
            Self::RawScript => "axum + a bare script, fred",
            Self::RawScriptRedis => "axum + a bare script, redis-rs",
            Self::Portcullis => "Portcullis, Redis",
            Self::PortcullisMemory => "Portcullis, memory",
            Self::SessionGuard => "session-guard",
            Self::TowerSessions => "tower-sessions, pool of 6",
            Self::TowerSessionsOne => "tower-sessions, pool of 1",
            Self::AxumSession => "axum_session, no local copy",
            Self::AxumSessionCached => "axum_session, local copy",
            Self::Actix => "actix-web alone",
            Self::ActixSession => "actix-session",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    pub(crate) fn has_sessions(self) -> bool {
        !matches!(self, Self::Axum | Self::AxumLayer | Self::Actix) && !self.is_raw()
    }

    /// Whether it only sends commands to Redis.
    pub(crate) fn is_raw(self) -> bool {
        matches!(
            self,
            Self::RawGet | Self::RawGetRedis | Self::RawScript | Self::RawScriptRedis
        )
    }

    /// Whether sessions hold values of the application.
    pub(crate) fn has_data(self) -> bool {
        self != Self::SessionGuard
    }

    /// Whether sessions are in Redis, and nowhere else.
    pub(crate) fn is_shared(self) -> bool {
        self.has_sessions() && !matches!(self, Self::PortcullisMemory | Self::AxumSessionCached)
    }

    /// Whether Portcullis is compared with it: sessions in Redis, seen by every server at once.
    pub(crate) fn is_peer(self) -> bool {
        self.is_shared() && self != Self::Portcullis
    }

    /// The same without sessions.
    pub(crate) fn floor(self) -> Self {
        match self {
            Self::Actix | Self::ActixSession => Self::Actix,
            _ => Self::Axum,
        }
    }

    pub(crate) fn takes_part_in(self, case: Case) -> bool {
        use Case::{
            Enter, Ignored, List10, List100, Read, RevokeAll, SignIn, SignOut, Touch, Write,
        };
        if !cfg!(feature = "peers")
            && !matches!(
                self,
                Self::Axum
                    | Self::AxumLayer
                    | Self::RawGet
                    | Self::RawScript
                    | Self::Portcullis
                    | Self::PortcullisMemory
            )
        {
            return false;
        }
        match self {
            Self::Portcullis => true,
            Self::Axum | Self::PortcullisMemory => case != Touch,
            Self::AxumLayer => case == Ignored,
            Self::RawGet | Self::RawGetRedis => case == Read,
            Self::RawScript | Self::RawScriptRedis => case == Write,
            Self::SessionGuard => case != Write,
            Self::TowerSessions => !matches!(case, List10 | List100 | RevokeAll),
            Self::TowerSessionsOne => matches!(case, Read | Write),
            Self::AxumSession | Self::AxumSessionCached | Self::Actix | Self::ActixSession => {
                matches!(case, Ignored | Read | Write | Enter | SignIn | SignOut)
            }
        }
    }
}

/// The settings of a server process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) system: System,
    pub(crate) redis: SocketAddr,
    pub(crate) idle: Duration,
    /// The limit of sessions per user, if there is one.
    pub(crate) limit: usize,
}

impl Settings {
    pub(crate) fn of(system: System, case: Case, redis: SocketAddr) -> Self {
        Self {
            system,
            redis,
            idle: case.idle(),
            limit: case.sessions_per_user().max(10),
        }
    }

    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut next = || words.next().ok_or("serve needs: SYSTEM REDIS IDLE LIMIT");
        Ok(Self {
            system: System::named(&next()?).ok_or("not a system")?,
            redis: next()?.parse()?,
            idle: Duration::from_secs(next()?.parse()?),
            limit: next()?.parse()?,
        })
    }

    fn words(&self) -> [String; 5] {
        [
            "serve".into(),
            self.system.name().into(),
            self.redis.to_string(),
            self.idle.as_secs().to_string(),
            self.limit.to_string(),
        ]
    }

    fn url(&self) -> String {
        format!("redis://{}", self.redis)
    }
}

/// A server process.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) process: Running,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Served {
    /// The allocations of the process so far, if the program counts them.
    pub(crate) fn allocated(&mut self) -> Result<Allocated> {
        writeln!(self.stdin)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let (count, bytes) = line.trim_end().split_once(' ').ok_or("no count")?;
        Ok(Allocated {
            count: count.parse()?,
            bytes: bytes.parse()?,
        })
    }
}

/// Starts a server process and waits until it listens.
pub(crate) fn spawn(settings: Settings, cores: &Cores) -> Result<Served> {
    spawn_program(&std::env::current_exe()?, settings, cores)
}

pub(crate) fn spawn_program(program: &Path, settings: Settings, cores: &Cores) -> Result<Served> {
    let mut process = cores
        .for_server(program)
        .args(settings.words())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
    let process = Running(process);
    let mut stdout = BufReader::new(stdout.ok_or("no output")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let address = line
        .trim_end()
        .parse()
        .map_err(|_| format!("the server of {} did not start", settings.system.title()))?;
    Ok(Served {
        address,
        process,
        stdin: stdin.ok_or("no input")?,
        stdout,
    })
}

/// The main function of the server process. Serves until its standard input is closed, and at each
/// line of it prints its allocations.
///
/// One thread: on a core of its own every system is fastest with one, and it leaves no choice to
/// the scheduler.
pub(crate) fn serve(settings: &Settings, counter: Option<fn() -> Allocated>) -> Result<()> {
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            if let Some(counter) = counter {
                let Allocated { count, bytes } = counter();
                let _ = writeln!(std::io::stdout(), "{count} {bytes}");
            }
        }
        std::process::exit(0);
    });
    #[cfg(feature = "peers")]
    if settings.system.floor() == System::Actix {
        return actix::serve(settings);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let app = app(settings).await?;
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        if settings.system == System::SessionGuard {
            // It needs the peer's address.
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            return Ok(axum::serve(listener, app).await?);
        }
        Ok(axum::serve(listener, app).await?)
    })
}

fn announce(address: SocketAddr) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{address}")?)
}

async fn app(settings: &Settings) -> Result<Router> {
    match settings.system {
        System::Axum => Ok(floor::app()),
        System::AxumLayer => Ok(floor::app_with_layer()),
        System::RawGet | System::RawScript => raw::fred::app(settings).await,
        #[cfg(feature = "peers")]
        System::RawGetRedis | System::RawScriptRedis => raw::redis_rs::app(settings).await,
        System::Portcullis => portcullis::on_redis(settings).await,
        System::PortcullisMemory => in_memory(settings.idle, settings.limit),
        #[cfg(feature = "peers")]
        System::SessionGuard => session_guard::app(settings).await,
        #[cfg(feature = "peers")]
        System::TowerSessions => tower_sessions::app(settings, 6).await,
        #[cfg(feature = "peers")]
        System::TowerSessionsOne => tower_sessions::app(settings, 1).await,
        #[cfg(feature = "peers")]
        System::AxumSession => axum_session::app(settings, false).await,
        #[cfg(feature = "peers")]
        System::AxumSessionCached => axum_session::app(settings, true).await,
        _ => Err("not compiled in; needs the feature `peers`".into()),
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
