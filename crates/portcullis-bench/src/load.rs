//! The load generator: keep-alive connections that each send one request after the other and check
//! every response.

use std::{
    future::Future,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    Result,
    case::{Case, PAYLOAD_BYTES, Supplies},
    http::{Answer, Connection, request},
    servers::{System, proof},
    stats::percentile,
};

/// The requests to send, and their server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) system: System,
    pub(crate) case: Case,
    pub(crate) connections: usize,
    /// The bytes of text in a session.
    pub(crate) payload: usize,
    /// The number of sessions of the request's user.
    pub(crate) per_user: usize,
    /// Whether it is the same user who signs in again and again.
    pub(crate) same_user: bool,
}

impl Plan {
    pub(crate) fn of(system: System, case: Case, connections: usize) -> Self {
        Self {
            system,
            case,
            connections,
            payload: PAYLOAD_BYTES,
            per_user: case.sessions_per_user(),
            same_user: false,
        }
    }
}

/// A number of connections, ready to send requests of one case.
pub(crate) struct Load {
    plan: Plan,
    workers: Vec<Worker>,
}

struct Worker {
    connection: Connection,
    plan: Plan,
    payload: String,
    /// The cookie and the user of the session that is used again and again.
    cookie: String,
    user: String,
    counter: u64,
    /// Used once: a user and the cookie of a session.
    unused: Vec<(String, String)>,
    /// User, old and new cookie of the last request that used something up.
    changed: Option<Changed>,
    latencies: Vec<u32>,
}

struct Changed {
    user: String,
    /// Must open no session afterwards.
    old: Option<String>,
    /// Must open the session of the user afterwards.
    new: Option<String>,
}

/// The result of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    pub(crate) least: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Load {
    /// Connects, and starts a session for each connection.
    pub(crate) async fn prepare(address: SocketAddr, plan: Plan) -> Result<Self> {
        let payload = payload(plan.payload);
        let mut workers = Vec::with_capacity(plan.connections);
        for _ in 0..plan.connections {
            workers.push(Worker {
                connection: Connection::open(address).await?,
                plan,
                payload: payload.clone(),
                cookie: String::new(),
                user: String::new(),
                counter: 0,
                unused: Vec::new(),
                changed: None,
                latencies: Vec::new(),
            });
        }
        // Of a user who has many sessions, every connection uses the same.
        let shared = plan.per_user > 1;
        let mut standing = (String::new(), String::new());
        for (number, worker) in workers.iter_mut().enumerate() {
            if number == 0 || !shared {
                standing = worker.a_user(plan.per_user).await?;
            }
            (worker.user, worker.cookie) = standing.clone();
        }
        Ok(Self { plan, workers })
    }

    pub(crate) fn plan(&self) -> Plan {
        self.plan
    }

    /// Creates the sessions and users for this many `requests`, and waits as the case requires.
    pub(crate) async fn stock(&mut self, requests: usize) -> Result<()> {
        let supplies = self.plan.case.supplies();
        if supplies == Supplies::Nothing {
            return Ok(());
        }
        self.each(requests, move |mut worker, share| async move {
            for _ in 0..share {
                let supply = match supplies {
                    Supplies::Anonymous if worker.plan.system.has_data() => {
                        (String::new(), worker.a_visitor().await?)
                    }
                    Supplies::Users => worker.a_user(worker.plan.per_user).await?,
                    _ => worker.a_user(1).await?,
                };
                worker.unused.push(supply);
            }
            Ok(worker)
        })
        .await?;
        tokio::time::sleep(self.plan.case.rest()).await;
        Ok(())
    }

    /// Signs in `sessions` users.
    pub(crate) async fn start_sessions(&mut self, sessions: usize) -> Result<()> {
        self.each(sessions, |mut worker, share| async move {
            for _ in 0..share {
                worker.a_user(1).await?;
            }
            Ok(worker)
        })
        .await
    }

    /// Sends `requests`.
    pub(crate) async fn run(&mut self, requests: usize) -> Result<Run> {
        for worker in &mut self.workers {
            worker.latencies.clear();
            worker.latencies.reserve(requests);
        }
        let started = Instant::now();
        self.each(requests, |mut worker, share| async move {
            worker.work(share).await?;
            Ok(worker)
        })
        .await?;
        let elapsed = started.elapsed();
        let all = self.workers.iter().flat_map(|worker| &worker.latencies);
        let mut latencies: Vec<_> = all.copied().collect();
        latencies.sort_unstable();
        let at = |share| Duration::from_nanos(percentile(&latencies, share).into());
        Ok(Run {
            elapsed,
            least: at(0.0),
            p50: at(0.5),
            p99: at(0.99),
        })
    }

    /// Checks the effect of the last change.
    pub(crate) async fn verify(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.verify().await?;
        }
        Ok(())
    }

    /// Runs every worker's share of `total`, all at once.
    async fn each<F>(&mut self, total: usize, work: impl Fn(Worker, usize) -> F) -> Result<()>
    where
        F: Future<Output = Result<Worker>> + Send + 'static,
    {
        let count = self.workers.len().max(1);
        let working: Vec<_> = std::mem::take(&mut self.workers)
            .into_iter()
            .enumerate()
            .map(|(number, worker)| {
                let share = total / count + usize::from(number < total % count);
                tokio::spawn(work(worker, share))
            })
            .collect();
        for worker in working {
            self.workers.push(worker.await??);
        }
        Ok(())
    }
}

impl Worker {
    /// The cookie of a new session without a user.
    async fn a_visitor(&mut self) -> Result<String> {
        let request = request("POST", "/seed", None, &self.payload);
        let answer = self.connection.send(&request).await?;
        cookie_of(&answer, self.plan.system)
    }

    /// A new user with as many sessions, and the cookie of the last.
    async fn a_user(&mut self, sessions: usize) -> Result<(String, String)> {
        let user = next_user();
        let request = request("POST", &format!("/enter/{user}"), None, &self.payload);
        let mut cookie = String::new();
        for _ in 0..sessions {
            let answer = self.connection.send(&request).await?;
            cookie = cookie_of(&answer, self.plan.system)?;
        }
        Ok((user, cookie))
    }

    /// The response of the server for a value of a session of this user.
    fn value(&self, user: &str) -> String {
        match self.plan.system.has_data() {
            true => proof(&self.payload),
            false => user.to_owned(),
        }
    }

    async fn work(&mut self, requests: usize) -> Result<()> {
        let expected = self.value(&self.user);
        match self.plan.case {
            Case::Ignored => self.repeat("/ignored", requests, "ok").await,
            Case::Read => self.repeat("/read", requests, &expected).await,
            Case::List10 | Case::List100 => {
                let expected = match self.plan.system.has_sessions() {
                    true => self.plan.per_user.to_string(),
                    false => "ok".into(),
                };
                self.repeat("/sessions", requests, &expected).await
            }
            Case::Write => self.write(requests).await,
            Case::Touch => {
                for _ in 0..requests {
                    let (user, cookie) = self.unused.pop().ok_or("too few sessions")?;
                    let expected = self.value(&user);
                    self.timed(&request("GET", "/read", Some(&cookie), ""), &expected)
                        .await?;
                }
                Ok(())
            }
            Case::Enter => self.enter(requests).await,
            Case::SignIn => self.sign_in(requests).await,
            Case::SignOut => {
                for _ in 0..requests {
                    let (user, old) = self.unused.pop().ok_or("too few sessions")?;
                    self.timed(&request("POST", "/sign-out", Some(&old), ""), "ok")
                        .await?;
                    self.changed = Some(Changed {
                        user,
                        old: Some(old),
                        new: None,
                    });
                }
                Ok(())
            }
            Case::RevokeAll => self.revoke_all(requests).await,
        }
    }

    /// Sends one request, measures its time, and expects this response. Returns the cookies that
    /// were set.
    async fn timed(&mut self, request: &str, expected: &str) -> Result<()> {
        let sent = Instant::now();
        let answer = self.connection.send(request).await?;
        self.latencies.push(nanos(sent));
        check(&answer, expected)
    }

    async fn repeat(&mut self, path: &str, requests: usize, expected: &str) -> Result<()> {
        let request = request("GET", path, Some(&self.cookie), "");
        for _ in 0..requests {
            self.timed(&request, expected).await?;
        }
        Ok(())
    }

    async fn write(&mut self, requests: usize) -> Result<()> {
        let request = request("POST", "/write", Some(&self.cookie), "");
        let has_sessions = self.plan.system.has_sessions();
        for _ in 0..requests {
            let sent = Instant::now();
            let answer = self.connection.send(&request).await?;
            self.latencies.push(nanos(sent));
            let counter = answer.body.parse().unwrap_or(0);
            // Without sessions all connections share one counter.
            let fits = counter == self.counter + 1 || (!has_sessions && counter > self.counter);
            if answer.status != 200 || !fits {
                return Err(unexpected("the next number", &answer));
            }
            self.counter = counter;
        }
        Ok(())
    }

    async fn enter(&mut self, requests: usize) -> Result<()> {
        for _ in 0..requests {
            let user = match self.plan.same_user {
                true => self.user.clone(),
                false => next_user(),
            };
            let request = request("POST", &format!("/enter/{user}"), None, &self.payload);
            let sent = Instant::now();
            let answer = self.connection.send(&request).await?;
            self.latencies.push(nanos(sent));
            check(&answer, &user)?;
            let new = Some(cookie_of(&answer, self.plan.system)?);
            self.changed = Some(Changed {
                user,
                old: None,
                new,
            });
        }
        Ok(())
    }

    async fn sign_in(&mut self, requests: usize) -> Result<()> {
        for _ in 0..requests {
            let (_, old) = self.unused.pop().ok_or("too few sessions")?;
            let user = next_user();
            let request = request("POST", &format!("/sign-in/{user}"), Some(&old), "");
            let expected = match self.plan.system.has_data() {
                true => format!("{user} {}", proof(&self.payload)),
                false => user.clone(),
            };
            let sent = Instant::now();
            let answer = self.connection.send(&request).await?;
            self.latencies.push(nanos(sent));
            check(&answer, &expected)?;
            let new = cookie_of(&answer, self.plan.system)?;
            if self.plan.system.has_sessions() && new == old {
                return Err("a sign-in without a new cookie".into());
            }
            self.changed = Some(Changed {
                user,
                old: Some(old),
                new: Some(new),
            });
        }
        Ok(())
    }

    async fn revoke_all(&mut self, requests: usize) -> Result<()> {
        let expected = match self.plan.system.has_sessions() {
            true => self.plan.per_user.to_string(),
            false => "ok".into(),
        };
        for _ in 0..requests {
            let (user, old) = self.unused.pop().ok_or("too few users")?;
            let request = request("POST", &format!("/revoke-all/{user}"), None, "");
            self.timed(&request, &expected).await?;
            self.changed = Some(Changed {
                user,
                old: Some(old),
                new: None,
            });
        }
        Ok(())
    }

    async fn verify(&mut self) -> Result<()> {
        let changed = self.changed.take();
        let Some(changed) = changed.filter(|_| self.plan.system.has_sessions()) else {
            return Ok(());
        };
        if let Some(new) = changed.new {
            self.ask_who(&new, &changed.user).await?;
        }
        if let Some(old) = changed.old {
            self.ask_who(&old, "none").await?;
        }
        Ok(())
    }

    async fn ask_who(&mut self, cookie: &str, expected: &str) -> Result<()> {
        let request = request("GET", "/who", Some(cookie), "");
        check(&self.connection.send(&request).await?, expected)
    }
}

/// A user that no server has seen before.
fn next_user() -> String {
    static USERS: AtomicU64 = AtomicU64::new(1_000_000);
    format!("user-{}", USERS.fetch_add(1, Ordering::Relaxed))
}

/// A text of this length that no server can know in advance.
pub(crate) fn payload(bytes: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.as_nanos()) & u128::from(u64::MAX);
    format!("{nanos:016x}")
        .chars()
        .cycle()
        .take(bytes)
        .collect()
}

fn nanos(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX)
}

fn cookie_of(answer: &Answer<'_>, system: System) -> Result<String> {
    match (answer.status, answer.cookies()) {
        (200, Some(cookies)) => Ok(cookies),
        // As long as one of Portcullis, so that parsing it costs the same.
        (200, None) if !system.has_sessions() => Ok(format!("__Host-Http-id={:A>43}", "")),
        _ => Err(unexpected("a cookie", answer)),
    }
}

fn check(answer: &Answer<'_>, expected: &str) -> Result<()> {
    if answer.status == 200 && answer.body == expected {
        return Ok(());
    }
    Err(unexpected(expected, answer))
}

fn unexpected(expected: &str, answer: &Answer<'_>) -> Box<dyn std::error::Error + Send + Sync> {
    let Answer { status, body, .. } = answer;
    format!("a server answered {status} {body:?} where {expected:?} was expected").into()
}
