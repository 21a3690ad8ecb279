//! A wire that knows one message from the next, and can do harm to any of them.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use portcullis_core::Bucket;
use portcullis_redis::testing::TestServer;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happens to a step of an operation: to a message that it sends to Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It comes to Redis as soon as the caller has given up.
    Late,
    /// It comes long after that: the store is well again by then, over another connection, and has undone what it had to.
    /// What was sent after it over the old one is lost.
    VeryLate,
    /// The connection is cut, for the caller, who hears of it at once. It comes to Redis all the same, when the store has
    /// looked for what came of it. The same happens to all that follow until the caller has given up.
    Overtaken,
    /// The connection is cut before it comes to Redis.
    RequestLost,
    /// The same with all that follow until the caller has given up.
    RequestsLost,
    /// The connection is cut when Redis has carried it out.
    AnswerLost,
    /// The same with all that follow until the caller has given up.
    AnswersLost,
    /// Redis stands still and goes on after this time.
    Paused(Duration),
    /// Redis is killed before it, and begins anew without a memory.
    Restarted,
}

impl Fault {
    pub const fn all(wait: Duration) -> [Self; 9] {
        [
            Self::Late,
            Self::VeryLate,
            Self::Overtaken,
            Self::RequestLost,
            Self::RequestsLost,
            Self::AnswerLost,
            Self::AnswersLost,
            Self::Paused(Duration::from_millis(wait.as_millis() as u64 * 3 / 2)),
            Self::Restarted,
        ]
    }

    fn strikes_on(self) -> bool {
        matches!(
            self,
            Self::Overtaken | Self::RequestsLost | Self::AnswersLost
        )
    }
}

/// A wire to a server, which lives as long as it. Its threads end with the connections.
pub struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    server: Mutex<TestServer>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What a message has in it that is a step.
    marks: Vec<String>,
    /// Whether steps count.
    armed: bool,
    order: Option<(usize, Fault)>,
    /// Those that were sent, and those that Redis carried out.
    sent: usize,
    ran: usize,
    held: bool,
    released: bool,
    /// Those that were taken from connections that are cut.
    kept: Vec<Vec<u8>>,
    /// Messages of the store's own that Redis has answered since.
    looks: usize,
    /// Connections on which something is under way that is not held.
    busy: usize,
}

impl Wire {
    /// Messages are steps that name one of these buckets.
    pub fn to(server: TestServer, buckets: &[Bucket]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mark = |bucket: &Bucket| format!("{{{:x}}}", bucket.number());
        let shared = Arc::new(Shared {
            upstream: server.port(),
            server: Mutex::new(server),
            state: Mutex::new(State {
                marks: buckets.iter().map(mark).collect(),
                ..State::default()
            }),
            changed: Condvar::new(),
        });
        let of_connections = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&of_connections);
                shared.state().busy += 1;
                thread::spawn(move || {
                    // An error is what the client sees as well.
                    let _ = carry(client, &shared);
                    shared.change(|state| state.busy -= 1);
                });
            }
        });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn server(&self) -> MutexGuard<'_, TestServer> {
        self.shared.server.lock().unwrap()
    }

    /// From now on steps count, and this happens to one of them.
    pub fn arm(&self, order: Option<(usize, Fault)>) {
        self.shared.change(|state| {
            state.armed = true;
            state.order = order;
            (state.sent, state.ran) = (0, 0);
            (state.held, state.released) = (false, false);
            (state.kept, state.looks) = (Vec::new(), 0);
        });
    }

    /// They do not count any more. Returns how many there were.
    pub fn disarm(&self) -> usize {
        let mut state = self.shared.state();
        state.armed = false;
        state.sent
    }

    /// How many steps Redis has carried out so far.
    pub fn ran(&self) -> usize {
        self.shared.state().ran
    }

    /// Whether a step is held.
    pub fn holds(&self) -> bool {
        let state = self.shared.state();
        state.held || !state.kept.is_empty()
    }

    /// Whether the store has looked for what came of the task.
    pub fn looked(&self) -> bool {
        self.shared.state().looks > 0
    }

    /// Lets go what is held.
    pub fn release(&self) {
        let kept = std::mem::take(&mut self.shared.state().kept);
        if !kept.is_empty() {
            let server = TcpStream::connect(("127.0.0.1", self.shared.upstream)).unwrap();
            let mut answers = BufReader::new(server.try_clone().unwrap());
            for kept in kept {
                (&server).write_all(&kept).unwrap();
                message(&mut answers).unwrap();
                self.shared.state().ran += 1;
            }
        }
        self.shared.change(|state| {
            state.released = true;
            if state.held {
                state.held = false;
                state.busy += 1;
            }
        });
    }

    /// Returns when all has arrived that was sent.
    pub fn quiet(&self) {
        let state = self.shared.state();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.busy > 0);
        assert!(!waited.unwrap().1.timed_out(), "the wire is never quiet");
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// What is to happen to this message, and what it is.
    fn due(&self, message: &[u8]) -> (Option<Fault>, Kind) {
        let mut state = self.state();
        // A log is trimmed in whatever buckets a sweep begins with.
        let counts = !has(message, "XTRIM") && state.marks.iter().any(|mark| has(message, mark));
        if !state.armed || !counts {
            return (None, if counts { Kind::Look } else { Kind::Other });
        }
        let number = state.sent;
        state.sent += 1;
        let fault = state.order.and_then(|(at, fault)| {
            (at == number || fault.strikes_on() && number > at).then_some(fault)
        });
        (fault, Kind::Step)
    }

    fn hold(&self) {
        let mut state = self.state();
        if state.released {
            return;
        }
        state.held = true;
        state.busy -= 1;
        self.changed.notify_all();
        let released = self.changed.wait_while(state, |state| !state.released);
        drop(released.unwrap());
    }
}

enum Kind {
    /// Of the task.
    Step,
    /// Of the store, afterwards.
    Look,
    Other,
}

fn has(message: &[u8], mark: &str) -> bool {
    let mut parts = message.windows(mark.len());
    parts.any(|part| part == mark.as_bytes())
}

/// One message after the other, so that no answer is taken for that of another one.
fn carry(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", shared.upstream))?;
    for end in [&client, &server] {
        end.set_nodelay(true)?;
    }
    let mut questions = BufReader::new(client.try_clone()?);
    let mut answers = BufReader::new(server.try_clone()?);
    loop {
        rest(&mut questions, shared)?;
        let message = message(&mut questions)?;
        let (fault, kind) = shared.due(&message);
        let mut ask = |message: &[u8]| {
            (&server).write_all(message)?;
            self::message(&mut answers)
        };
        let ran = |answered: io::Result<Vec<u8>>| {
            match kind {
                Kind::Step if answered.is_ok() => shared.state().ran += 1,
                Kind::Look if answered.is_ok() => shared.state().looks += 1,
                _ => {}
            }
            answered
        };
        let answer = match fault {
            None => ran(ask(&message))?,
            Some(Fault::Late) => {
                shared.hold();
                // All that was sent since arrives with it, before anybody can notice that the other end is closed.
                let mut answers = ran(ask(&message))?;
                while !is_at_rest(&questions)? && !questions.fill_buf()?.is_empty() {
                    answers.extend(ask(&self::message(&mut questions)?)?);
                }
                answers
            }
            Some(Fault::VeryLate) => {
                shared.hold();
                return ran(ask(&message)).map(drop);
            }
            Some(Fault::Overtaken) => {
                shared.state().kept.push(message);
                return Ok(());
            }
            Some(Fault::RequestLost | Fault::RequestsLost) => return Ok(()),
            Some(Fault::AnswerLost | Fault::AnswersLost) => return ran(ask(&message)).map(drop),
            Some(Fault::Paused(time)) => {
                shared.server.lock().unwrap().pause();
                (&server).write_all(&message)?;
                thread::sleep(time);
                shared.server.lock().unwrap().resume();
                ran(self::message(&mut answers))?
            }
            Some(Fault::Restarted) => {
                shared.server.lock().unwrap().restart();
                return Ok(());
            }
        };
        (&client).write_all(&answer)?;
    }
}

/// Waits for more to be sent.
fn rest(questions: &mut BufReader<TcpStream>, shared: &Shared) -> io::Result<()> {
    if is_at_rest(questions)? {
        shared.change(|state| state.busy -= 1);
        let more = questions.fill_buf().map(drop);
        shared.change(|state| state.busy += 1);
        more?;
    }
    Ok(())
}

fn is_at_rest(questions: &BufReader<TcpStream>) -> io::Result<bool> {
    if !questions.buffer().is_empty() {
        return Ok(false);
    }
    let stream = questions.get_ref();
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
}

/// One message in either direction, as it stands.
fn message(from: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_into(&mut bytes, from)?;
    Ok(bytes)
}

fn read_into(bytes: &mut Vec<u8>, from: &mut BufReader<TcpStream>) -> io::Result<()> {
    let begin = bytes.len();
    if from.read_until(b'\n', bytes)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = String::from_utf8_lossy(&bytes[begin..]).into_owned();
    let (kind, length) = line.trim_end().split_at(1);
    let length = || length.parse::<i64>().unwrap_or(-1);
    match kind {
        "$" if length() >= 0 => {
            let begin = bytes.len();
            bytes.resize(begin + length() as usize + 2, 0);
            from.read_exact(&mut bytes[begin..])
        }
        "*" => (0..length()).try_for_each(|_| read_into(bytes, from)),
        _ => Ok(()),
    }
}
