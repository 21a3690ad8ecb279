//! actix-web alone, and with actix-session on its Redis store, as its documentation sets it up,
//! with sessions that slide on every request. One worker thread, and the thread that accepts
//! connections.

use std::{net::Ipv4Addr, sync::Arc};

use actix_session::{
    Session, SessionMiddleware,
    config::{BrowserSession, TtlExtensionPolicy},
    storage::RedisSessionStore,
};
use actix_web::{
    App, Error, HttpServer,
    cookie::{Key, time::Duration},
    rt::System as Runtime,
    web::{Data, Path, ServiceConfig, get, post},
};

use super::{Settings, System, announce, floor::Shared, ignored, proof};
use crate::Result;

const PAYLOAD: &str = "payload";
const COUNTER: &str = "counter";
const USER: &str = "user";

type Answer<T> = std::result::Result<T, Error>;

pub(super) fn serve(settings: &Settings) -> Result<()> {
    let idle = Duration::try_from(settings.idle)?;
    Runtime::new().block_on(async {
        if settings.system == System::Actix {
            let shared = Data::from(Arc::<Shared>::default());
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(shared.clone())
                    .configure(without_sessions)
            });
            let server = server.workers(1).bind((Ipv4Addr::LOCALHOST, 0))?;
            announce(*server.addrs().first().ok_or("no address")?)?;
            return Ok(server.run().await?);
        }
        let store = RedisSessionStore::new(settings.url()).await;
        let store = store.map_err(|error| error.to_string())?;
        let key = Key::generate();
        let server = HttpServer::new(move || {
            let lifecycle = BrowserSession::default()
                .state_ttl(idle)
                .state_ttl_extension_policy(TtlExtensionPolicy::OnEveryRequest);
            let middleware = SessionMiddleware::builder(store.clone(), key.clone())
                .session_lifecycle(lifecycle)
                .build();
            App::new().wrap(middleware).configure(with_sessions)
        });
        let server = server.workers(1).bind((Ipv4Addr::LOCALHOST, 0))?;
        announce(*server.addrs().first().ok_or("no address")?)?;
        Ok(server.run().await?)
    })
}

fn without_sessions(routes: &mut ServiceConfig) {
    routes
        .route("/ignored", get().to(ignored))
        .route("/seed", post().to(floor_handlers::seed))
        .route("/enter/{user}", post().to(floor_handlers::enter))
        .route("/read", get().to(floor_handlers::read))
        .route("/write", post().to(floor_handlers::write))
        .route("/sign-in/{user}", post().to(floor_handlers::sign_in))
        .route("/sign-out", post().to(ignored));
}

/// The floor's handlers.
mod floor_handlers {
    use super::{Data, Path, Shared};

    pub(super) async fn seed(shared: Data<Shared>, body: String) -> &'static str {
        shared.keep(body);
        ""
    }

    pub(super) async fn enter(shared: Data<Shared>, user: Path<String>, body: String) -> String {
        shared.keep(body);
        user.into_inner()
    }

    pub(super) async fn read(shared: Data<Shared>) -> String {
        shared.proof()
    }

    pub(super) async fn write(shared: Data<Shared>) -> String {
        shared.next()
    }

    pub(super) async fn sign_in(shared: Data<Shared>, user: Path<String>) -> String {
        format!("{user} {}", shared.proof())
    }
}

fn with_sessions(routes: &mut ServiceConfig) {
    routes
        .route("/ignored", get().to(ignored))
        .route("/seed", post().to(seed))
        .route("/enter/{user}", post().to(enter))
        .route("/read", get().to(read))
        .route("/write", post().to(write))
        .route("/sign-in/{user}", post().to(sign_in))
        .route("/sign-out", post().to(sign_out))
        .route("/who", get().to(who));
}

async fn seed(session: Session, body: String) -> Answer<&'static str> {
    session.insert(PAYLOAD, body)?;
    Ok("")
}

async fn enter(session: Session, user: Path<String>, body: String) -> Answer<String> {
    session.insert(USER, user.as_str())?;
    session.insert(PAYLOAD, body)?;
    Ok(user.into_inner())
}

async fn read(session: Session) -> Answer<String> {
    Ok(proof(&payload(&session)?))
}

async fn write(session: Session) -> Answer<String> {
    let counter = session.get::<u64>(COUNTER)?.unwrap_or_default() + 1;
    session.insert(COUNTER, counter)?;
    Ok(counter.to_string())
}

async fn sign_in(session: Session, user: Path<String>) -> Answer<String> {
    session.renew();
    session.insert(USER, user.as_str())?;
    Ok(format!("{user} {}", proof(&payload(&session)?)))
}

async fn sign_out(session: Session) -> &'static str {
    session.purge();
    "ok"
}

async fn who(session: Session) -> Answer<String> {
    Ok(session.get(USER)?.unwrap_or_else(|| "none".into()))
}

fn payload(session: &Session) -> Answer<String> {
    Ok(session.get(PAYLOAD)?.unwrap_or_default())
}
