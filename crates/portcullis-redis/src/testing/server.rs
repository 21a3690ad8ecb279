//! A Redis server for one test.

use std::{
    env,
    ffi::OsString,
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, id},
    sync::{
        LazyLock,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::resp::{Answer, ask};

const AGE: &str = include_str!("../../lua/testing/age.lua");

/// A Redis (or Valkey) server on a free port of this machine, in a directory of its own, empty and
/// without persistence. It ends when this is dropped.
///
/// All methods block the thread for a moment.
#[derive(Debug)]
pub struct TestServer {
    port: u16,
    tls_port: u16,
    directory: PathBuf,
    options: Vec<String>,
    environment: Vec<(String, String)>,
    /// For a Sentinel: its configuration file, without its own address.
    watches: Option<String>,
    process: Option<Child>,
}

impl TestServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    ///
    /// When neither `redis-server` nor `valkey-server` is installed.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with further options of `redis-server`, such as `["--maxmemory",
    /// "10mb"]`.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_in(options, &[])
    }

    /// As [`start_with`](Self::start_with), with these variables in the environment of the server.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub fn start_in(options: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_as(options, environment, None)
    }

    /// Starts a Sentinel with this configuration.
    pub(super) fn start_sentinel(watches: String) -> Self {
        Self::start_as(&[], &[], Some(watches))
    }

    fn start_as(options: &[&str], environment: &[(&str, &str)], watches: Option<String>) -> Self {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("portcullis-redis-{}-{number}", id()));
        fs::create_dir_all(&directory).expect("a directory for the server");
        let mut server = Self {
            port: 0,
            tls_port: 0,
            directory,
            options: options.iter().map(ToString::to_string).collect(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            watches,
            process: None,
        };
        // Another program may take the free port before the server does.
        for _ in 0..5 {
            let free = if options.contains(&"--cluster-enabled") {
                free_port_of_a_node
            } else {
                free_port
            };
            server.port = free();
            if let Some(at) = options.iter().position(|it| *it == "--tls-port")
                && let Some(port) = server.options.get_mut(at + 1)
            {
                server.tls_port = free();
                *port = server.tls_port.to_string();
            }
            if server.try_start() {
                return server;
            }
        }
        panic!(
            "the Redis server does not start with {options:?}; its log is in {}",
            server.directory.display()
        );
    }

    /// The address for [`RedisStore::connect`](crate::RedisStore::connect).
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port with TLS, of a server with the option `--tls-port`. Its value is replaced by a free
    /// port.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The server's directory. It is removed with the server.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Sends a command, as `redis-cli` would.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub fn cli(&self, command: &[&str]) -> Answer {
        let bytes: Vec<_> = command.iter().map(|part| part.as_bytes()).collect();
        self.cli_bytes(&bytes)
    }

    /// As [`cli`](Self::cli), for a server that may close the connection. A server does so when
    /// Sentinels change its role.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn try_cli(&self, command: &[&str]) -> io::Result<Answer> {
        let bytes: Vec<_> = command.iter().map(|part| part.as_bytes()).collect();
        ask(self.port, &bytes)
    }

    /// As [`cli`](Self::cli), for arguments that are not text.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub fn cli_bytes(&self, command: &[&[u8]]) -> Answer {
        ask(self.port, command).expect("an answer of the server")
    }

    /// How many connections are subscribed to this channel.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub fn subscribers(&self, channel: &str) -> i64 {
        match self.cli(&["PUBSUB", "NUMSUB", channel]) {
            Answer::List(counts) => counts[1].integer(),
            other => panic!("{other:?}"),
        }
    }

    /// Kills the server as a crash would. All its data is lost.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("kill the server");
            process.wait().expect("the end of the server");
        }
    }

    /// Starts the server again on its port, empty.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        assert!(
            self.try_start(),
            "the server does not start again on port {}",
            self.port
        );
    }

    /// Makes the server hang: connections stay open and are accepted, but nothing is answered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets a paused server continue.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// Lets time pass for every session in the server: afterwards each is as if it had been created
    /// and last used this much earlier. The server forgets ended sessions this much earlier.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub fn age_sessions(&self, by: Duration) {
        let answer = self.cli(&["EVAL", AGE, "0", &by.as_millis().to_string()]);
        assert!(matches!(answer, Answer::Integer(_)), "{answer:?}");
    }

    /// Makes the server refuse `user` every command on the session under `key`, and on no other
    /// session.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub fn keep_from(&self, user: &str, key: &str) {
        let mut rule = ["ACL", "SETUSER", user, "resetkeys"]
            .map(String::from)
            .to_vec();
        // Patterns can only allow. So they allow every key that differs in the first character, or
        // in the second, and so on.
        rule.extend(key.char_indices().map(|(at, character)| {
            let (same, _) = key.split_at(at);
            format!("~{same}[^{character}]*")
        }));
        let rule: Vec<_> = rule.iter().map(String::as_str).collect();
        assert_eq!(self.cli(&rule).text(), "OK");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a server that runs");
        let status = Command::new("kill")
            .args([signal, &process.id().to_string()])
            .status();
        assert!(status.expect("the program kill").success());
    }

    fn arguments(&self) -> Vec<OsString> {
        let port = self.port.to_string();
        if let Some(watches) = &self.watches {
            // The Sentinel stores its state in this file.
            let file = self.directory.join("sentinel.conf");
            let directory = self.directory.display();
            let text = format!("port {port}\nbind 127.0.0.1\ndir {directory}\n{watches}");
            fs::write(&file, text).expect("a file for the Sentinel");
            return vec![file.into(), "--sentinel".into()];
        }
        let fixed = ["--port", &port, "--bind", "127.0.0.1", "--save", ""];
        let mut arguments: Vec<OsString> = fixed.iter().map(OsString::from).collect();
        arguments.extend(["--appendonly", "no", "--dir"].map(OsString::from));
        arguments.push(self.directory.clone().into());
        arguments.extend(self.options.iter().map(OsString::from));
        arguments
    }

    fn try_start(&mut self) -> bool {
        let log = fs::File::create(self.directory.join("log")).expect("a log for the server");
        let arguments = self.arguments();
        let spawn = |program| {
            Command::new(program)
                .args(&arguments)
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("the log once more"))
                .stderr(Stdio::null())
                .spawn()
        };
        let process = match spawn("redis-server") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => spawn("valkey-server"),
            other => other,
        };
        let mut process = process.expect(
            "these tests need the program redis-server or valkey-server; install the package redis-server or valkey",
        );
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(10) {
            if process
                .try_wait()
                .expect("the state of the server")
                .is_some()
            {
                return false;
            }
            match ask(self.port, &[b"INFO", b"server"]) {
                // The server of another program that took the port.
                Ok(Answer::Bytes(info)) if !is_of(&info, &process) => break,
                // An error is an answer too: the server may ask for a password.
                Ok(_) => {
                    self.process = Some(process);
                    return true;
                }
                Err(_) => {}
            }
            thread::sleep(Duration::from_millis(5));
        }
        process.kill().expect("kill the server");
        process.wait().expect("the end of the server");
        false
    }
}

/// Whether this is the `INFO` of the server that runs as this process.
fn is_of(info: &[u8], process: &Child) -> bool {
    let line = format!("process_id:{}", process.id());
    String::from_utf8_lossy(info)
        .lines()
        .any(|other| other == line)
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A free port for a node of a cluster. The port ten thousand above it must be free too: the nodes
/// use it among themselves. Both are below the range from which the system gives ports to programs.
fn free_port_of_a_node() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Starts at a random port, so that parallel test programs differ, and uses no port twice.
    static FIRST: LazyLock<u16> = LazyLock::new(|| rand::random_range(0..12_000));
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let step = || NEXT.fetch_add(1, Ordering::Relaxed) % 12_000;
    let ports = (0..1000).map(|_| 10_000 + (*FIRST + step()) % 12_000);
    let mut free = ports.filter(|port| is_free(*port) && is_free(port + 10_000));
    free.next().expect("a free port with a free neighbour")
}
