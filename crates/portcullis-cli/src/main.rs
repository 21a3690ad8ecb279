//! The tool for operators of applications that keep their sessions in Redis with Portcullis. `README.md` says what
//! it does.

mod args;
mod commands;
mod context;
mod exit;
mod json;
mod moment;
mod realms;
mod screen;
mod text;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    args::{Command, CommandLine},
    commands::in_each_realm,
    context::Context,
    exit::{Code, Failure},
    screen::mention,
};

fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return explain(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(line)),
        Err(error) => Err(Failure::Store(format!(
            "no connection can be made: {error}"
        ))),
    };
    match ended {
        Ok(code) => code.into(),
        Err(failure) => {
            mention(&failure.to_string());
            failure.code().into()
        }
    }
}

/// Help and version, or what is wrong with the command line. The latter quotes it, and there can be anything in it.
fn explain(error: &clap::Error) -> ExitCode {
    // Who closed the pipe does not want to read it.
    if error.use_stderr() {
        let _ = write!(io::stderr(), "{}", text::quotable(&error.to_string()));
        ExitCode::from(2)
    } else {
        let _ = error.print();
        ExitCode::SUCCESS
    }
}

async fn run(line: CommandLine) -> Result<Code, Failure> {
    let CommandLine {
        connection,
        look,
        command,
    } = line;
    let realms = || Context::open(&connection, look);
    match command.with_users()? {
        Command::List(whose) => {
            let list = async |context: &Context| commands::list(context, look, &whose).await;
            in_each_realm(&realms().await?, list).await
        }
        Command::Users(users) => {
            let list = async |context: &Context| commands::users(context, look, &users).await;
            in_each_realm(&realms().await?, list).await
        }
        Command::Count => {
            let count = async |context: &Context| commands::count(context, look).await;
            in_each_realm(&realms().await?, count).await
        }
        Command::Show(which) => {
            let show = async |context: &Context| commands::show(context, look, &which).await;
            in_each_realm(&realms().await?, show).await
        }
        Command::Revoke(revoke) => commands::revoke(&connection, look, &revoke).await,
        Command::Flagged(flagged) => {
            let list = async |context: &Context| commands::flagged(context, look, &flagged).await;
            in_each_realm(&realms().await?, list).await
        }
        Command::Audit(audit) => commands::audit(&connection, look, &audit).await,
        Command::Realms => commands::realms(&connection, look).await.map(Code::from),
        Command::Check(check) => commands::check(&connection, look, &check)
            .await
            .map(Code::from),
        Command::Sweep => {
            let sweep = async |context: &Context| commands::sweep(context, look).await;
            in_each_realm(&realms().await?, sweep).await
        }
    }
}
