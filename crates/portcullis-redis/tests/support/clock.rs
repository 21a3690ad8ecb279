//! A clock for servers that a test sets. It is a library in front of the system's, which needs Linux and a C compiler.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "shared by tests, none of which uses all of it"
)]

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    process::{Command, Stdio, id},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Stands in front of the system's own. What it adds to the time is in a file that it shares with the test.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static const volatile int64_t *micros_ahead;
__attribute__((constructor)) static void find(void) {
    int file = open(getenv("CLOCK_FILE"), O_RDONLY);
    void *mapped = mmap(NULL, sizeof *micros_ahead, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) abort();
    micros_ahead = mapped;
    close(file);
}
static int64_t micros(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000 + (micros_ahead ? *micros_ahead : 0);
}
int gettimeofday(struct timeval *tv, void *tz) {
    int64_t now = micros();
    tv->tv_sec = now / 1000000;
    tv->tv_usec = now % 1000000;
    return 0;
}
time_t time(time_t *result) {
    time_t now = micros() / 1000000;
    if (result) *result = now;
    return now;
}
"#;

/// Compiled once in each test program.
static LIBRARY: LazyLock<String> = LazyLock::new(|| {
    let library = concat!(env!("CARGO_TARGET_TMPDIR"), "/clock.so");
    // Other test programs may be doing the same, and a server may be reading it.
    let unfinished = format!("{library}.{}", id());
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-x", "c", "-", "-o", &unfinished])
        .stdin(Stdio::piped())
        .spawn()
        .expect("this test needs a C compiler, as the linker of Rust does");
    let mut input = compiler.stdin.take().unwrap();
    input.write_all(SOURCE.as_bytes()).unwrap();
    drop(input);
    assert!(compiler.wait().unwrap().success());
    fs::rename(unfinished, library).unwrap();
    library.to_owned()
});

/// The clock of all servers that are started in its [`environment`](Self::environment). It runs on, and ahead of the
/// machine's by as much as the test says.
#[derive(Debug)]
pub struct TestClock {
    path: String,
    file: File,
    micros_ahead: Mutex<i64>,
}

impl TestClock {
    /// As the machine's, to begin with.
    pub fn new() -> Self {
        Self::ahead_by(0)
    }

    /// Behind the machine's for less than nothing.
    pub fn ahead_by(seconds: i64) -> Self {
        static CLOCKS: AtomicU32 = AtomicU32::new(0);
        let number = CLOCKS.fetch_add(1, Ordering::Relaxed);
        let path = format!("{}/clock-{}-{number}", env!("CARGO_TARGET_TMPDIR"), id());
        let clock = Self {
            file: File::create(&path).unwrap(),
            path,
            micros_ahead: Mutex::new(0),
        };
        clock.set_ahead_by(|_| seconds * 1_000_000);
        clock
    }

    pub fn environment(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", &LIBRARY), ("CLOCK_FILE", &self.path)]
    }

    /// Afterwards it is that much later for the servers.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap();
        self.set_ahead_by(|ahead| ahead + by);
    }

    fn set_ahead_by(&self, micros: impl FnOnce(i64) -> i64) {
        let mut ahead = self.micros_ahead.lock().unwrap();
        *ahead = micros(*ahead);
        self.file.write_all_at(&ahead.to_ne_bytes(), 0).unwrap();
    }
}

impl Drop for TestClock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
