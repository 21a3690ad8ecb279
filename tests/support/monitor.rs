//! Records the commands that are sent to Redis.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use portcullis_redis::testing::TestServer;

/// Records all commands that are sent to a server.
pub struct Monitor<'s> {
    server: &'s TestServer,
    lines: BufReader<TcpStream>,
}

const END: &str = "that-is-all";

/// Commands that keep connections alive and read the time, and those of tests themselves.
const OURS: [&str; 5] = ["ping", "time", "echo", "config", "info"];

/// The name in [`Monitor::sent`] of the script that writes an observation.
pub const OBSERVE: &str = "observe";

/// Only this script has a log as its first key.
fn is_log(key: &str) -> bool {
    key.ends_with(":l") || key.ends_with(":a")
}

impl<'s> Monitor<'s> {
    /// Starts to record.
    pub fn of(server: &'s TestServer) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("Redis");
        let give_up_after = Some(Duration::from_secs(10));
        stream.set_read_timeout(give_up_after).expect("a timeout");
        stream.write_all(b"MONITOR\r\n").expect("a command");
        let mut lines = BufReader::new(stream);
        let mut welcome = String::new();
        lines.read_line(&mut welcome).expect("an answer");
        assert_eq!(welcome.trim_end(), "+OK");
        Self { server, lines }
    }

    /// The commands since the last call, in lower case, without those that scripts execute, and
    /// without the questions for the active policy, which a task sends at any time.
    /// The script that writes an observation into the log, some time later, is named [`OBSERVE`].
    pub fn sent(&mut self) -> Vec<String> {
        self.server.cli(&["ECHO", END]);
        let mut commands = Vec::new();
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).expect("a command");
            if line.contains(END) {
                return commands;
            }
            // `+1700000000.000000 [0 127.0.0.1:50000] "GET" "pc:…"`, and `[0 lua]` for a script's.
            let (sender, command) = line.split_once("] ").expect("a sender");
            // Every second part is a quoted word.
            let mut quoted = command.split('"').skip(1).step_by(2);
            let mut name = quoted.next().expect("a name").to_lowercase();
            if name.starts_with("eval") && quoted.nth(2).is_some_and(is_log) {
                name = OBSERVE.to_owned();
            }
            let is_ours = OURS.contains(&name.as_str()) || command.contains("{policies}");
            if !sender.ends_with("lua") && !is_ours {
                commands.push(name);
            }
        }
    }
}
