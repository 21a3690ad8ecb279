//! The load generator: keep-alive connections that each send one request after the other and look at every
//! answer.

use std::{
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    Result,
    case::{Case, PAYLOAD_BYTES},
    http::{Answer, Connection, request},
    servers::{System, proof},
    stats::percentile,
};

/// A number of connections, ready to send requests of one case.
pub(crate) struct Load {
    workers: Vec<Worker>,
}

struct Worker {
    connection: Connection,
    case: Case,
    has_sessions: bool,
    payload: String,
    /// Of the session that is used again and again.
    cookie: String,
    counter: u64,
    /// Of sessions that are used once.
    unused: Vec<String>,
    user: u64,
    /// User, old and new cookie of the last sign-in.
    signed_in: Option<(String, String, String)>,
    latencies: Vec<u32>,
}

/// What a run of the load was like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Load {
    /// Connects, and starts a session for each connection.
    pub(crate) async fn prepare(
        address: SocketAddr,
        system: System,
        case: Case,
        connections: usize,
    ) -> Result<Self> {
        let payload = payload(PAYLOAD_BYTES);
        let mut workers = Vec::with_capacity(connections);
        for number in 0..connections {
            let mut worker = Worker {
                connection: Connection::open(address).await?,
                case,
                has_sessions: system.has_sessions(),
                payload: payload.clone(),
                cookie: String::new(),
                counter: 0,
                unused: Vec::new(),
                user: u64::try_from(number)? << 32,
                signed_in: None,
                latencies: Vec::new(),
            };
            worker.cookie = worker.start_session().await?;
            workers.push(worker);
        }
        Ok(Self { workers })
    }

    /// Starts as many sessions as `requests` will use up, and lets them rest as the case wants.
    pub(crate) async fn stock(&mut self, requests: usize) -> Result<()> {
        if !self.case().is_some_and(Case::uses_up_sessions) {
            return Ok(());
        }
        self.start_sessions(requests).await?;
        tokio::time::sleep(self.case().map_or(Duration::ZERO, Case::rest)).await;
        Ok(())
    }

    pub(crate) async fn start_sessions(&mut self, sessions: usize) -> Result<()> {
        self.each(sessions, |mut worker, share| async move {
            for _ in 0..share {
                let cookie = worker.start_session().await?;
                worker.unused.push(cookie);
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
            p50: at(0.5),
            p99: at(0.99),
        })
    }

    /// After sign-ins, apart from what is measured: the new cookie is the user, the old one nobody.
    pub(crate) async fn verify(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.verify().await?;
        }
        Ok(())
    }

    fn case(&self) -> Option<Case> {
        self.workers.first().map(|worker| worker.case)
    }

    /// Lets every worker do its share of `total`, all at once.
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
    /// The cookie of a new session.
    async fn start_session(&mut self) -> Result<String> {
        let answer = self
            .connection
            .send(&request("POST", "/seed", None, &self.payload))
            .await?;
        match (answer.status, answer.cookie) {
            (200, Some(cookie)) => Ok(cookie.to_owned()),
            // As long as one of Portcullis, so that parsing it costs the same.
            (200, None) if !self.has_sessions => Ok(format!("__Host-Http-id={:A>43}", "")),
            _ => Err(unexpected("a cookie", &answer)),
        }
    }

    async fn work(&mut self, requests: usize) -> Result<()> {
        match self.case {
            Case::Ignored => self.repeat("/ignored", requests, "ok").await,
            Case::Read => {
                let expected = proof(&self.payload);
                self.repeat("/read", requests, &expected).await
            }
            Case::Touch => {
                let expected = proof(&self.payload);
                for _ in 0..requests {
                    self.cookie = self.unused.pop().ok_or("too few sessions")?;
                    self.repeat("/read", 1, &expected).await?;
                }
                Ok(())
            }
            Case::Write => self.write(requests).await,
            Case::SignIn => self.sign_in(requests).await,
        }
    }

    async fn repeat(&mut self, path: &str, requests: usize, expected: &str) -> Result<()> {
        let request = request("GET", path, Some(&self.cookie), "");
        for _ in 0..requests {
            let sent = Instant::now();
            let answer = self.connection.send(&request).await?;
            self.latencies.push(nanos(sent));
            check(&answer, expected)?;
        }
        Ok(())
    }

    async fn write(&mut self, requests: usize) -> Result<()> {
        let request = request("POST", "/write", Some(&self.cookie), "");
        for _ in 0..requests {
            let sent = Instant::now();
            let answer = self.connection.send(&request).await?;
            self.latencies.push(nanos(sent));
            let counter = answer.body.parse().unwrap_or(0);
            // Without sessions all connections share one counter.
            let fits =
                counter == self.counter + 1 || (!self.has_sessions && counter > self.counter);
            if answer.status != 200 || !fits {
                return Err(unexpected("the next number", &answer));
            }
            self.counter = counter;
        }
        Ok(())
    }

    async fn sign_in(&mut self, requests: usize) -> Result<()> {
        for _ in 0..requests {
            let old = self.unused.pop().ok_or("too few sessions")?;
            self.user += 1;
            let user = format!("user-{}", self.user);
            let request = request("POST", &format!("/sign-in/{user}"), Some(&old), "");
            let expected = format!("{user} {}", proof(&self.payload));
            let sent = Instant::now();
            let answer = self.connection.send(&request).await?;
            self.latencies.push(nanos(sent));
            check(&answer, &expected)?;
            if self.has_sessions {
                let new = answer.cookie.filter(|new| *new != old);
                let new = new.ok_or("a sign-in without a new cookie")?.to_owned();
                self.signed_in = Some((user, old, new));
            }
        }
        Ok(())
    }

    async fn verify(&mut self) -> Result<()> {
        let Some((user, old, new)) = self.signed_in.take() else {
            return Ok(());
        };
        self.ask_who(&new, &user).await?;
        self.ask_who(&old, "nobody").await
    }

    async fn ask_who(&mut self, cookie: &str, expected: &str) -> Result<()> {
        let request = request("GET", "/who", Some(cookie), "");
        check(&self.connection.send(&request).await?, expected)
    }
}

/// A text of this length that no server can know before it is told.
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
