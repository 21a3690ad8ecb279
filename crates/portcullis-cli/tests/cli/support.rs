//! A server with sessions, and the built program.
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis_core::{
    Class, Client, Environment, Realm, SessionHandle, SessionId, SessionIdHash, SystemRandom,
    Timeouts, UserId, VisitorLimits,
    policy::ClassLimits,
    store::{Activity, Commit, Committed, Create, Created, Loaded, Register, Registered, Store},
    unit_of_work::{SessionSettings, Step, UnitOfWork},
};
use portcullis_redis::{RedisStore, testing::TestServer};
use serde_json::Value;

const FIREFOX: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Longer than any command takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

fn policy() -> SessionSettings {
    SessionSettings {
        policy: Arc::default(),
        payload_limit: 4096,
        visitors: VisitorLimits::default(),
    }
}

pub(crate) struct Fixture {
    pub(crate) server: TestServer,
    pub(crate) store: RedisStore,
}

pub(crate) struct Session {
    pub(crate) handle: SessionHandle,
    pub(crate) id: SessionId,
}

impl Session {
    pub(crate) fn key(&self) -> SessionIdHash {
        self.id.key()
    }

    /// Its key as the store spells it.
    pub(crate) fn key_in_store(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.key().digest())
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::on(TestServer::start()).await
    }

    pub(crate) async fn on(server: TestServer) -> Self {
        let store = connect(&server).await;
        Self { server, store }
    }

    /// Registers a realm, as a layer with this cookie does.
    pub(crate) async fn register(&self, realm: &str, cookie: &str) {
        let longest = Timeouts::default().absolute();
        let registered = self
            .store_of(realm)
            .register(Register::new(cookie, longest, None, &[]))
            .await;
        registered.unwrap();
    }

    /// Registers a realm, as a layer does that declares an environment and classes.
    pub(crate) async fn declare(&self, realm: &str, environment: &str, classes: &[Class]) {
        let environment = Environment::new(environment.to_owned()).unwrap();
        let longest = Timeouts::default().absolute();
        let register = Register::new("__Host-id", longest, Some(&environment), classes);
        let registered = self.store_of(realm).register(register).await;
        assert_eq!(registered.unwrap(), Registered::Done);
    }

    fn store_of(&self, realm: &str) -> RedisStore {
        self.store.in_realm(&Realm::new(realm).unwrap())
    }

    pub(crate) async fn reconnect(&mut self) {
        self.store = connect(&self.server).await;
    }

    pub(crate) async fn sign_in(&self, user: impl Into<UserId>) -> Session {
        begin(&self.store, user.into(), None, None).await
    }

    /// What the store answers to a sign-in.
    pub(crate) async fn try_sign_in(&self, user: impl Into<UserId>) -> Created {
        try_to_begin(&self.store, user.into(), None, None).await.1
    }

    pub(crate) async fn sign_in_to(&self, realm: &str, user: impl Into<UserId>) -> Session {
        begin(&self.store_of(realm), user.into(), None, None).await
    }

    pub(crate) async fn elevate_at_sign_in(&self, user: impl Into<UserId>) -> Session {
        begin(&self.store, user.into(), Some("payments"), None).await
    }

    pub(crate) async fn sign_in_as(&self, user: impl Into<UserId>, class: Class) -> Session {
        begin(&self.store, user.into(), None, Some(class)).await
    }

    /// A request with this session from another client.
    pub(crate) async fn use_from(&self, session: &Session, client: Client) {
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

    pub(crate) async fn is_live(&self, session: &Session) -> bool {
        matches!(self.store.load(&session.key()).await, Ok(Loaded::Live(_)))
    }

    pub(crate) async fn is_live_in(&self, realm: &str, session: &Session) -> bool {
        let loaded = self.store_of(realm).load(&session.key()).await;
        matches!(loaded, Ok(Loaded::Live(_)))
    }

    pub(crate) fn program(&self, arguments: &[&str]) -> Program {
        Program::new(&self.server.url(), arguments)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.program(arguments).run()
    }
}

async fn begin(
    store: &RedisStore,
    user: UserId,
    scope: Option<&str>,
    class: Option<Class>,
) -> Session {
    let (session, created) = try_to_begin(store, user, scope, class).await;
    assert!(matches!(created, Created::Done(..)), "{created:?}");
    session
}

async fn try_to_begin(
    store: &RedisStore,
    user: UserId,
    scope: Option<&str>,
    class: Option<Class>,
) -> (Session, Created) {
    // Changes of two users in one millisecond have no order.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let now = store.now();
    let mut settings = policy();
    let classes = class.map(|class| (class.code(), ClassLimits::default()));
    Arc::make_mut(&mut settings.policy).classes.extend(classes);
    let mut unit =
        UnitOfWork::without_session(settings, None).from_client(Client::of_user_agent(FIREFOX));
    unit.authenticate(user, now).unwrap();
    if let Some(class) = class {
        unit.set_class(class, now).unwrap();
    }
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
    let session = Session {
        handle: write.meta.handle,
        id,
    };
    (session, created.unwrap())
}

async fn connect(server: &TestServer) -> RedisStore {
    // A busy machine may answer slowly.
    let builder = RedisStore::builder(server.url()).wait(Duration::from_secs(5));
    builder.allow_unsafe_eviction().connect().await.unwrap()
}

/// The program, without a terminal.
pub(crate) struct Program(Command);

impl Program {
    pub(crate) fn new(url: &str, arguments: &[&str]) -> Self {
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

    pub(crate) fn bytes(&mut self, argument: &[u8]) -> &mut Self {
        self.0.arg(OsStr::from_bytes(argument));
        self
    }

    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.0.env(name, value);
    }

    pub(crate) fn out(&mut self, to: Stdio) {
        self.0.stdout(to);
    }

    /// Writes to a pipe whose other end is closed.
    pub(crate) fn closed(mut self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.0.stdout(writer);
        self
    }

    pub(crate) fn run(&mut self) -> Ended {
        let output = self.0.output().unwrap();
        Ended {
            status: output.status,
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn assert(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
    }

    pub(crate) fn both(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// One document per line.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self:?}"))
            })
            .collect()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// The running program. It is killed when this is dropped.
pub(crate) struct Running {
    process: Child,
    out: Option<Receiver<String>>,
    err: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut program: Program) -> Self {
        let mut process = program.0.spawn().unwrap();
        Self {
            out: process.stdout.take().map(lines),
            err: lines(process.stderr.take().unwrap()),
            process,
        }
    }

    /// The next line of results.
    pub(crate) fn line(&self) -> String {
        let out = self.out.as_ref().unwrap();
        out.recv_timeout(GIVE_UP_AFTER).unwrap()
    }

    /// The next message.
    pub(crate) fn message(&self) -> String {
        self.err.recv_timeout(GIVE_UP_AFTER).unwrap()
    }

    /// All remaining messages.
    pub(crate) fn rest(&self) -> String {
        self.err.iter().collect()
    }

    /// Its exit code, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(since.elapsed() < GIVE_UP_AFTER, "it does not end");
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
pub(crate) fn interrupt(running: &Running) {
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

/// Two layers, with a session of alice in each realm.
pub(crate) async fn two_realms() -> (Fixture, [Session; 2]) {
    let fixture = Fixture::new().await;
    fixture.register("shop", "__Host-shop").await;
    fixture.register("admin", "__Host-admin").await;
    let sessions = [
        fixture.sign_in_to("admin", "alice").await,
        fixture.sign_in_to("shop", "alice").await,
    ];
    (fixture, sessions)
}

pub(crate) const REALMS: [&str; 2] = ["admin", "shop"];

/// The README has every field of this object.
#[track_caller]
pub(crate) fn assert_documented(object: &Value) {
    for field in object.as_object().unwrap().keys() {
        let row = format!("| `{field}` |");
        assert!(include_str!("../../README.md").contains(&row), "{field}");
    }
}

/// A file that is removed when this is dropped.
pub(crate) struct Document(PathBuf);

impl Document {
    pub(crate) fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}-{name}.toml", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
