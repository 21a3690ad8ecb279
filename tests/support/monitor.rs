//! What is sent to Redis.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use portcullis_redis::testing::TestServer;

/// Listens to all that is sent to a server.
pub struct Monitor<'s> {
    server: &'s TestServer,
    lines: BufReader<TcpStream>,
}

const END: &str = "that-is-all";

/// What connections send to stay alive and to know the time, and what tests send themselves.
const OURS: [&str; 5] = ["ping", "time", "echo", "config", "info"];

/// What [`Monitor::sent`] calls the script that writes an observation.
pub const OBSERVE: &str = "observe";

/// Only of that script the first key is a log.
fn is_log(key: &str) -> bool {
    key.ends_with(":l") || key.ends_with(":a")
}

impl<'s> Monitor<'s> {
    /// Begins to listen.
    pub fn of(server: &'s TestServer) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("Redis");
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).expect("a timeout");
        stream.write_all(b"MONITOR\r\n").expect("a command");
        let mut lines = BufReader::new(stream);
        let mut welcome = String::new();
        lines.read_line(&mut welcome).expect("an answer");
        assert_eq!(welcome.trim_end(), "+OK");
        Self { server, lines }
    }

    /// The commands that were sent since the last time somebody asked, in lower case, without those that scripts carry out.
    /// The script that writes an observation into the log, at some later moment, is called [`OBSERVE`].
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
            // Names, and what is between them.
            let mut words = command.split('"').skip(1).step_by(2);
            let mut name = words.next().expect("a name").to_lowercase();
            if name.starts_with("eval") && words.nth(2).is_some_and(is_log) {
                name = OBSERVE.to_owned();
            }
            if !sender.ends_with("lua") && !OURS.contains(&name.as_str()) {
                commands.push(name);
            }
        }
    }
}
