//! The number of live sessions.

use serde::Serialize;

use crate::{
    args::OutputOptions,
    context::Context,
    exit::{Failure, Outcome},
    moment,
    screen::print_result,
};

#[derive(Serialize)]
struct Counted {
    now: String,
    of_users: u64,
    of_visitors: u64,
}

pub(crate) async fn count(context: &Context, output: OutputOptions) -> Result<Outcome, Failure> {
    let count = context.sessions.count().await?;
    let now = context.now();
    print_result(&if output.json {
        context.document(&Counted {
            now: moment::rfc3339(now),
            of_users: count.of_users,
            of_visitors: count.of_visitors,
        })?
    } else {
        format!(
            "{} of users and {} of visitors are live at {}\n",
            sessions(count.of_users),
            count.of_visitors,
            moment::clock(now)
        )
    })?;
    if count.total() == 0 {
        context.hint_at_prefix();
    }
    Ok(Outcome::Done)
}

fn sessions(number: u64) -> String {
    match number {
        1 => "1 session".to_owned(),
        number => format!("{number} sessions"),
    }
}
