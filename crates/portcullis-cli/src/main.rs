//! The tool for operators of applications that keep their sessions in Redis with Portcullis.
//! `README.md` describes it.

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
    screen::print_message,
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
            print_message(&failure.to_string());
            failure.code().into()
        }
    }
}

/// Prints help, version or the error in the command line. The error quotes it, so its text is made
/// safe.
fn explain(error: &clap::Error) -> ExitCode {
    // If the pipe is closed, the error is ignored.
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
        output,
        command,
    } = line;
    let realms = || Context::open(&connection, output);
    match command.with_users()? {
        Command::List(whose) => {
            let list = async |context: &Context| commands::list(context, output, &whose).await;
            in_each_realm(&realms().await?, list).await
        }
        Command::Users(users) => {
            let list = async |context: &Context| commands::users(context, output, &users).await;
            in_each_realm(&realms().await?, list).await
        }
        Command::Count => {
            let count = async |context: &Context| commands::count(context, output).await;
            in_each_realm(&realms().await?, count).await
        }
        Command::Show(which) => {
            let show = async |context: &Context| commands::show(context, output, &which).await;
            in_each_realm(&realms().await?, show).await
        }
        Command::Revoke(revoke) => commands::revoke(&connection, output, &revoke).await,
        Command::Suspend(suspend) => commands::suspend(&connection, output, &suspend).await,
        Command::Resume(resume) => {
            let resume = async |context: &Context| commands::resume(context, output, &resume).await;
            in_each_realm(&realms().await?, resume).await
        }
        Command::Suspended(suspended) => {
            let list =
                async |context: &Context| commands::suspended(context, output, &suspended).await;
            in_each_realm(&realms().await?, list).await
        }
        Command::Flagged(flagged) => {
            let list = async |context: &Context| commands::flagged(context, output, &flagged).await;
            in_each_realm(&realms().await?, list).await
        }
        Command::Audit(audit) => commands::audit(&connection, output, &audit).await,
        Command::Realms(realms) => commands::realms(&connection, output, realms)
            .await
            .map(Code::from),
        Command::Check(check) => commands::check(&connection, output, &check)
            .await
            .map(Code::from),
        Command::Policy(policy) => commands::policy(&connection, output, &policy).await,
        Command::Incident(incident) => commands::incident(&connection, output, &incident).await,
        Command::Sweep => {
            let sweep = async |context: &Context| commands::sweep(context, output).await;
            in_each_realm(&realms().await?, sweep).await
        }
    }
}
