//! Processes: where they run and what they cost.

use std::{
    ffi::OsStr,
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::Result;

/// The core of each process, if the system allows a choice.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cores {
    /// The number of cores.
    pub(crate) count: usize,
    server: Option<usize>,
    load: Option<usize>,
    redis: Option<usize>,
}

impl Cores {
    /// The server gets a core for itself. The load generator, which is this process, and Redis get
    /// one each where there are three, else they share one.
    pub(crate) fn assign() -> Self {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let pid = std::process::id().to_string();
        let pinned = count >= 2
            && Command::new("taskset")
                .args(["-cp", "1", &pid])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
        if !pinned {
            return Self {
                count,
                ..Self::default()
            };
        }
        Self {
            count,
            server: Some(0),
            load: Some(1),
            redis: Some(if count >= 3 { 2 } else { 1 }),
        }
    }

    pub(crate) fn for_server(&self, program: impl AsRef<OsStr>) -> Command {
        on(self.server, program)
    }

    pub(crate) fn for_redis(&self, program: impl AsRef<OsStr>) -> Command {
        on(self.redis, program)
    }

    pub(crate) fn describe(&self) -> String {
        match (self.server, self.load, self.redis) {
            (Some(server), Some(load), Some(redis)) => {
                format!(
                    "server on core {server}, load generator on core {load}, Redis on core {redis}"
                )
            }
            _ => "not pinned (needs `taskset` and two cores); expect more noise".into(),
        }
    }
}

fn on(core: Option<usize>, program: impl AsRef<OsStr>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// A process that ends with this value.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// CPU time used so far, in user and system mode. `None` where there is no `/proc`.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let pid = self.0.id();
        precise(pid).or_else(|| ticks(pid))
    }
}

/// The scheduler's own count, in nanoseconds, of every thread.
fn precise(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos)).filter(|time| !time.is_zero())
}

/// `utime` and `stime`, in hundredths of a second.
fn ticks(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything. Counted from after it, these are fields 12 and
    // 13.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

/// What a program prints first, to name its version.
pub(crate) fn first_line(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
