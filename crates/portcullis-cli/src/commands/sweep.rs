//! Clearing away what is over.

use serde::Serialize;

use crate::{
    args::{Connection, Look},
    desk::Desk,
    exit::{Failure, Outcome},
    json,
    screen::say,
};

#[derive(Serialize)]
struct Swept {
    cleared: usize,
}

pub(crate) async fn sweep(connection: &Connection, look: Look) -> Result<Outcome, Failure> {
    let desk = Desk::open(connection, look).await?;
    let cleared = desk.sessions.sweep().await?;
    say(&if look.json {
        json::document(&Swept { cleared })?
    } else {
        format!("{cleared} cleared away\n")
    })?;
    Ok(Outcome::Done)
}
