//! A server with sessions, and the program as somebody would run it.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests panic when something does not work"
)]

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis_core::{
    Client, Realm, SessionHandle, SessionId, SessionIdHash, SystemRandom, Timeouts, UserId,
    VisitorLimits,
    store::{Activity, Commit, Committed, Create, Created, Loaded, Register, Store},
    unit_of_work::{SessionSettings, Step, UnitOfWork},
};
use portcullis_redis::{RedisStore, testing::TestServer};
use serde_json::Value;

const FIREFOX: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn policy() -> SessionSettings {
    SessionSettings {
        timeouts: Timeouts::default(),
        remember_me: None,
        payload_limit: 4096,
        visitors: VisitorLimits::default(),
        session_limit: None,
    }
}

pub struct Stand {
    pub server: TestServer,
    pub store: RedisStore,
}

pub struct Session {
    pub handle: SessionHandle,
    pub id: SessionId,
}

impl Session {
    pub fn key(&self) -> SessionIdHash {
        self.id.key()
    }

    /// How its key is spelled in the store.
    pub fn spelled(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.key().digest())
    }
}

impl Stand {
    pub async fn new() -> Self {
        Self::on(TestServer::start()).await
    }

    pub async fn on(server: TestServer) -> Self {
        let store = connect(&server).await;
        Self { server, store }
    }

    /// As a layer with this cookie does.
    pub async fn register(&self, realm: &str, cookie: &str) {
        let longest = Timeouts::default().absolute();
        let registered = self
            .store_of(realm)
            .register(Register::new(cookie, longest))
            .await;
        registered.unwrap();
    }

    fn store_of(&self, realm: &str) -> RedisStore {
        self.store.in_realm(&Realm::new(realm).unwrap())
    }

    pub async fn reconnect(&mut self) {
        self.store = connect(&self.server).await;
    }

    pub async fn sign_in(&self, user: impl Into<UserId>) -> Session {
        begin(&self.store, user.into(), None).await
    }

    pub async fn sign_in_to(&self, realm: &str, user: impl Into<UserId>) -> Session {
        begin(&self.store_of(realm), user.into(), None).await
    }

    pub async fn elevate_at_sign_in(&self, user: impl Into<UserId>) -> Session {
        begin(&self.store, user.into(), Some("payments")).await
    }

    /// A request with this session from another client.
    pub async fn use_from(&self, session: &Session, client: Client) {
        let Loaded::Live(stored) = self.store.load(&session.key()).await.unwrap() else {
            panic!("not live")
        };
        let now = self.store.now();
        let mut unit = UnitOfWork::of_session(policy(), session.key(), &stored)
            .unwrap()
            .from_client(client);
        unit.flag(false, now).unwrap();
        let Step::Commit {
            key,
            expected,
            write,
            activity,
        } = unit
            .plan(Activity::Active, now, &mut SystemRandom)
            .unwrap()
            .step
        else {
            panic!("nothing to flag")
        };
        let committed = self
            .store
            .commit(Commit::new(&key, expected, &write, activity))
            .await;
        assert!(matches!(committed, Ok(Committed::Done(..))));
    }

    pub async fn is_live(&self, session: &Session) -> bool {
        matches!(self.store.load(&session.key()).await, Ok(Loaded::Live(_)))
    }

    pub async fn is_live_in(&self, realm: &str, session: &Session) -> bool {
        let loaded = self.store_of(realm).load(&session.key()).await;
        matches!(loaded, Ok(Loaded::Live(_)))
    }

    pub fn program(&self, arguments: &[&str]) -> Program {
        Program::new(&self.server.url(), arguments)
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.program(arguments).run()
    }
}

async fn begin(store: &RedisStore, user: UserId, scope: Option<&str>) -> Session {
    // What happens to two users in one millisecond has no order.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let now = store.now();
    let mut unit =
        UnitOfWork::without_session(policy(), None).from_client(Client::of_user_agent(FIREFOX));
    unit.authenticate(user, now).unwrap();
    if let Some(scope) = scope {
        unit.elevate(scope, now).unwrap();
    }
    let plan = unit.plan(Activity::Active, now, &mut SystemRandom).unwrap();
    let Step::Create {
        id,
        write,
        limits,
        others,
    } = plan.step
    else {
        panic!("{:?}", plan.step)
    };
    let created = store
        .create(Create::new(&id.key(), &write, limits, &others))
        .await;
    assert!(matches!(created, Ok(Created::Done(..))), "{created:?}");
    Session {
        handle: write.meta.handle,
        id,
    }
}

async fn connect(server: &TestServer) -> RedisStore {
    // What is tested is what the program does, not how fast a busy machine answers.
    let builder = RedisStore::builder(server.url()).wait(Duration::from_secs(5));
    builder.allow_unsafe_eviction().connect().await.unwrap()
}

/// The program, with nobody at the terminal.
pub struct Program(Command);

impl Program {
    pub fn new(url: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .env_remove("PORTCULLIS_PREFIX")
            .env_remove("PORTCULLIS_REALM")
            .env_remove("COLUMNS")
            .env("REDIS_URL", url)
            .env("USER", "tester")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command)
    }

    pub fn bytes(&mut self, argument: &[u8]) -> &mut Self {
        self.0.arg(OsStr::from_bytes(argument));
        self
    }

    pub fn env(&mut self, name: &str, value: &str) {
        self.0.env(name, value);
    }

    pub fn out(&mut self, to: Stdio) {
        self.0.stdout(to);
    }

    /// Writes to a pipe that nobody reads from.
    pub fn closed(mut self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.0.stdout(writer);
        self
    }

    pub fn run(&mut self) -> Ended {
        let output = self.0.output().unwrap();
        Ended {
            status: output.status,
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[derive(Debug)]
pub struct Ended {
    status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    #[track_caller]
    pub fn assert(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
    }

    pub fn both(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// One document per line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self:?}"))
            })
            .collect()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// The program while it runs. It is ended with this.
pub struct Running {
    process: Child,
    out: Option<Receiver<String>>,
    err: Receiver<String>,
}

impl Running {
    pub fn start(mut program: Program) -> Self {
        let mut process = program.0.spawn().unwrap();
        Self {
            out: process.stdout.take().map(lines),
            err: lines(process.stderr.take().unwrap()),
            process,
        }
    }

    /// The next line of results.
    pub fn line(&self) -> String {
        let out = self.out.as_ref().unwrap();
        out.recv_timeout(PATIENCE).unwrap()
    }

    /// The next message.
    pub fn said(&self) -> String {
        self.err.recv_timeout(PATIENCE).unwrap()
    }

    /// All messages that are left.
    pub fn rest(&self) -> String {
        self.err.iter().collect()
    }

    /// Its exit code, once it has ended.
    pub fn ended(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ctrl-C.
pub fn interrupt(running: &Running) {
    let status = Command::new("kill")
        .args(["-INT", &running.process.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
