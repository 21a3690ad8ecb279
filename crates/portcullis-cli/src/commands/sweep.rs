//! Removing expired sessions.

use serde::Serialize;

use crate::{
    args::OutputOptions,
    context::Context,
    exit::{Failure, Outcome},
    screen::print_result,
};

#[derive(Serialize)]
struct Swept {
    cleared: usize,
}

pub(crate) async fn sweep(context: &Context, output: OutputOptions) -> Result<Outcome, Failure> {
    let cleared = context.sessions.sweep().await?;
    print_result(&if output.json {
        context.document(&Swept { cleared })?
    } else {
        format!("{cleared} expired entries removed\n")
    })?;
    if cleared == 0 {
        context.hint_at_prefix();
    }
    Ok(Outcome::Done)
}
