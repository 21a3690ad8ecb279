//! Clearing away what is over.

use serde::Serialize;

use crate::{
    args::Look,
    desk::Desk,
    exit::{Failure, Outcome},
    screen::say,
};

#[derive(Serialize)]
struct Swept {
    cleared: usize,
}

pub(crate) async fn sweep(desk: &Desk, look: Look) -> Result<Outcome, Failure> {
    let cleared = desk.sessions.sweep().await?;
    say(&if look.json {
        desk.document(&Swept { cleared })?
    } else {
        format!("{cleared} cleared away\n")
    })?;
    if cleared == 0 {
        desk.hint_at_prefix();
    }
    Ok(Outcome::Done)
}
