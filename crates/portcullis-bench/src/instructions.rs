//! How many instructions a request takes, counted by valgrind: no clock, no network, hardly any noise.
//!
//! A small program sends requests to the service itself, on the memory store; what a longer run takes beyond a shorter
//! one is what its requests take.

use std::{collections::BTreeMap, fmt::Write as _, fs, process::Command, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header::COOKIE, header::SET_COOKIE, header::USER_AGENT},
};
use tower::ServiceExt;

use crate::{Result, case::Case, load::payload, process, say, servers};

const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");
const CASES: [Case; 4] = [Case::Ignored, Case::Read, Case::Write, Case::Enter];
const FEW: usize = 200;
const MANY: usize = 1200;
/// By how much a count may differ from what is expected: other versions of the compiler, seeds of hash maps.
const TOLERANCE: f64 = 0.03;

/// Sends requests to Portcullis on the memory store.
pub(crate) fn drive(case: Case, requests: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let app = servers::in_memory(Duration::from_secs(30 * 60), 10)?;
        let payload = payload(200);
        let (cookie, _) = send(&app, "POST", "/enter/ada", "", &payload).await?;
        let expected = servers::proof(&payload);
        for number in 1..=requests {
            let (method, path, body) = match case {
                Case::Ignored => ("GET", "/ignored".into(), "ok".into()),
                Case::Read => ("GET", "/read".into(), expected.clone()),
                Case::Write => ("POST", "/write".into(), number.to_string()),
                _ => ("POST", format!("/enter/{number}"), number.to_string()),
            };
            let cookie = if case == Case::Enter { "" } else { &cookie };
            let text = if case == Case::Enter { &payload } else { "" };
            let (_, answer) = send(&app, method, &path, cookie, text).await?;
            if answer != body {
                return Err(format!("{answer:?} where {body:?} was expected").into());
            }
        }
        Ok(())
    })
}

async fn send(
    app: &Router,
    method: &str,
    path: &str,
    cookie: &str,
    body: &str,
) -> Result<(String, String)> {
    let mut request = Request::builder().method(method).uri(path).header(
        USER_AGENT,
        "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    );
    if !cookie.is_empty() {
        request = request.header(COOKIE, cookie);
    }
    let answer = app
        .clone()
        .oneshot(request.body(Body::from(body.to_owned()))?)
        .await?;
    let cookie = match answer.headers().get(SET_COOKIE) {
        Some(set) => set
            .to_str()?
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned(),
        None => String::new(),
    };
    let body = to_bytes(answer.into_body(), usize::MAX).await?;
    Ok((cookie, String::from_utf8(body.to_vec())?))
}

/// Counts, and compares with what is expected, or expects from now on what was counted.
pub(crate) fn check(accept: bool) -> Result<()> {
    if cfg!(debug_assertions) {
        return Err("instructions are counted with optimisation; run with --release".into());
    }
    let mut counted = BTreeMap::new();
    for case in CASES {
        let (few, many) = (total(case, FEW)?, total(case, MANY)?);
        let requests = u64::try_from(MANY - FEW)?;
        counted.insert(case.name().to_owned(), many.saturating_sub(few) / requests);
    }
    let compiler = process::first_line("rustc", "--version").unwrap_or_default();
    if accept {
        let mut text = format!(
            "# Instructions of a request to Portcullis on the memory store, by `--instructions`; {compiler}.\n"
        );
        for (name, count) in &counted {
            writeln!(text, "{name} {count}")?;
        }
        fs::write(EXPECTED, &text)?;
        return say(&text);
    }
    let text = fs::read_to_string(EXPECTED)?;
    let expected: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse::<u32>().ok()?)))
        .collect();
    let mut differ = false;
    for (name, count) in &counted {
        let expected = f64::from(expected.get(name.as_str()).copied().unwrap_or(0));
        let ratio = f64::from(u32::try_from(*count)?) / expected;
        let fits = (ratio - 1.0).abs() <= TOLERANCE;
        differ |= !fits;
        let verdict = if fits { "as expected" } else { "DIFFERS" };
        say(&format!(
            "{name:<8} {count:>8} of {expected:>8}, {ratio:.3}: {verdict}"
        ))?;
    }
    match differ {
        false => Ok(()),
        true => Err(format!(
            "a request takes more or fewer instructions than expected ({compiler}). If there is a good reason, run \
             `--accept`, and commit instructions.txt with what was changed"
        )
        .into()),
    }
}

/// Of a whole run.
fn total(case: Case, requests: usize) -> Result<u64> {
    let profile = std::env::temp_dir().join(format!("portcullis-bench-{}", std::process::id()));
    let mut out = std::ffi::OsString::from("--callgrind-out-file=");
    out.push(&profile);
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(out)
        .arg(std::env::current_exe()?)
        .args(["drive", case.name(), &requests.to_string()])
        .status()
        .map_err(|_| "instructions are counted by valgrind, which was not found")?;
    let text = fs::read_to_string(&profile);
    let _ = fs::remove_file(&profile);
    if !status.success() {
        return Err(format!("{} failed under valgrind", case.name()).into());
    }
    let text = text?;
    let total = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("summary: ")
                .or(line.strip_prefix("totals: "))
        })
        .ok_or("valgrind has not told a total")?;
    Ok(total.trim().parse()?)
}
