//! Clearing away what is over.

use serde::Serialize;

use crate::{
    args::Look,
    context::Context,
    exit::{Failure, Outcome},
    screen::say,
};

#[derive(Serialize)]
struct Swept {
    cleared: usize,
}

pub(crate) async fn sweep(context: &Context, look: Look) -> Result<Outcome, Failure> {
    let cleared = context.sessions.sweep().await?;
    say(&if look.json {
        context.document(&Swept { cleared })?
    } else {
        format!("{cleared} cleared away\n")
    })?;
    if cleared == 0 {
        context.hint_at_prefix();
    }
    Ok(Outcome::Done)
}
