//! The smallest program with sessions: `cargo run --example hello`
//!
//! ```text
//! curl -c jar -b jar localhost:3000
//! curl -c jar -b jar localhost:3000/sign-in -X POST
//! curl -c jar -b jar localhost:3000/sign-out -X POST
//! ```

use axum::{Router, routing};
use portcullis::{Key, MemoryStore, Session, SessionError, SessionLayer};
use tokio::net::TcpListener;
use tower_http::csrf::CsrfLayer;

const VISITS: Key<u32> = Key::new("visits");

async fn home(session: Session) -> Result<String, SessionError> {
    session.update(VISITS, |visits| *visits += 1)?;
    let visits = session.get(VISITS)?.unwrap_or_default();
    let name = session
        .user()
        .map_or("stranger".into(), |user| user.to_string());
    Ok(format!("Hello, {name}. Visit {visits}.\n"))
}

async fn sign_in(session: Session) -> Result<&'static str, SessionError> {
    session.authenticate("ada")?; // after checking a password or a passkey, that is
    Ok("Welcome, ada.\n")
}

async fn sign_out(session: Session) -> Result<&'static str, SessionError> {
    session.terminate()?;
    Ok("Good bye.\n")
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "a program tells where to find it")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init(); // Portcullis logs why it refuses
    let app = Router::new()
        .route("/", routing::get(home))
        .route("/sign-in", routing::post(sign_in))
        .route("/sign-out", routing::post(sign_out))
        .layer(SessionLayer::new(MemoryStore::new()))
        .layer(CsrfLayer::new()); // refuses forms of other sites
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("Listening on http://localhost:3000");
    axum::serve(listener, app).await?;
    Ok(())
}
