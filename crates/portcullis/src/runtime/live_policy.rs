//! Learns of the policy that an operator activates: by asking the store at intervals, and before a
//! request is judged by an answer that is too old.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use portcullis_core::{
    Class, Environment, Policy, RandomSource, SystemRandom, millis,
    store::{FoundPolicy, Hint, OnLimit, PolicyReport, StoreError, StoredPolicy},
};
use portcullis_policy::{Declared, PolicyBounds, Versions};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Notify, oneshot},
    time::{self, Instant},
};

use crate::runtime::{
    context::Context,
    current_policy::Activated,
    registration::Registrar,
    task::{Alive, has_timers},
};

/// How old an answer of the store may be when a request is judged by it.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(5);

/// How often a process tells the store which version it uses.
const REPORTS_EVERY: Duration = Duration::from_secs(30);

/// The longest problem in a report. In bytes.
const MAX_PROBLEM: usize = 500;

/// What the application declares, by which it checks a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyNames {
    pub(crate) environment: Option<Environment>,
    pub(crate) classes: Arc<[Class]>,
    /// Further classes, which a document need not name.
    pub(crate) optional_classes: Arc<[Class]>,
    /// The name of each demand, and its scope.
    pub(crate) demands: Vec<(&'static str, Option<&'static str>)>,
    pub(crate) bounds: PolicyBounds,
    pub(crate) on_limit: Option<OnLimit>,
}

impl PolicyNames {
    pub(crate) fn declared(&self) -> Declared<'_> {
        let declared = Declared::new(&self.classes).optional_classes(&self.optional_classes);
        let declared = declared.demands(&self.demands);
        match self.on_limit {
            Some(on_limit) => declared.on_session_limit(on_limit),
            None => declared,
        }
    }
}

/// Keeps a process on the active policy of its realm.
pub(crate) struct LivePolicy {
    context: Arc<Context>,
    names: PolicyNames,
    /// The name of this process in reports.
    process: String,
    /// How old an answer may be.
    fresh_for: Duration,
    began: Instant,
    /// When the store was last asked and has answered: milliseconds after `began`, and one more.
    /// Zero if it never has.
    confirmed: AtomicU64,
    known: Mutex<Known>,
}

/// What is known of the store's policy.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The number of the version that the store had last.
    seen: Option<u64>,
    /// How long after its activation the version in use was found, if this process was running
    /// then.
    after: Option<Duration>,
    /// Why the version that the store had last is not used. Empty if it is.
    problem: String,
    /// What was last reported, and when.
    reported: Option<(Option<u64>, String, Instant)>,
}

impl LivePolicy {
    pub(crate) fn new(context: Arc<Context>, names: PolicyNames, fresh_for: Duration) -> Self {
        Self {
            context,
            names,
            process: process_name(),
            fresh_for,
            began: Instant::now(),
            confirmed: AtomicU64::new(0),
            known: Mutex::default(),
        }
    }

    /// Whether requests may be judged by what is known. If not, [`confirm`](Self::confirm) asks.
    pub(crate) fn is_fresh(&self) -> bool {
        match self.confirmed.load(Ordering::Relaxed) {
            0 => false,
            after => {
                self.began + Duration::from_millis(after - 1) + self.fresh_for > Instant::now()
            }
        }
    }

    /// Whether the store has answered before.
    pub(crate) fn is_known(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed) != 0
    }

    /// Asks the store for the active policy, and uses it from now on. Each caller asks for itself,
    /// so that none waits longer than the store takes.
    pub(crate) async fn confirm(&self, registrar: Option<&Registrar>) -> Result<(), StoreError> {
        let asked = millis(self.began.elapsed()) + 1;
        let seen = self.known().seen;
        let found = self.context.store().policy(seen).await?;
        if self.confirmed.load(Ordering::Relaxed) > asked {
            // The answer to a later question came first.
            return Ok(());
        }
        match found {
            FoundPolicy::Known => {}
            FoundPolicy::None if seen.is_none() => {}
            FoundPolicy::None => self.note_lost(),
            FoundPolicy::Found(stored) => self.learn(&stored, registrar).await?,
        }
        self.confirmed.fetch_max(asked, Ordering::Relaxed);
        Ok(())
    }

    /// Uses a policy, or notes why it cannot be used.
    async fn learn(
        &self,
        stored: &StoredPolicy,
        registrar: Option<&Registrar>,
    ) -> Result<(), StoreError> {
        let problem = match self.resolve(stored) {
            Ok((mut policy, mut later)) => {
                if let Some(registrar) = registrar {
                    // Revocations are remembered for as long as a session of any of them.
                    for policy in std::iter::once(&mut policy).chain(&mut later) {
                        policy.longest_before = registrar.longest();
                        registrar.lengthen(policy.longest()).await?;
                    }
                }
                let activated = Activated {
                    policy: Arc::new(policy),
                    later: later.map(Arc::new),
                };
                match self.context.policy.advance(activated) {
                    true => String::new(),
                    false => self.why_not_later(stored.number),
                }
            }
            Err(problem) => problem,
        };
        let was_running = self.is_known();
        let after = self.context.now().since(stored.since);
        let mut known = self.known();
        if known.seen == Some(stored.number) {
            return Ok(());
        }
        known.seen = Some(stored.number);
        if problem.is_empty() {
            known.after = was_running.then_some(after);
        }
        known.problem.clone_from(&problem);
        drop(known);
        let version = stored.number;
        match problem.as_str() {
            "" => {
                tracing::info!(version, "the active policy of sessions has changed");
                self.context.watches.hint_all();
            }
            problem => tracing::error!(
                version,
                problem,
                "the active policy of sessions is not used by this process; it keeps the one before"
            ),
        }
        Ok(())
    }

    /// The policy now, and what it becomes by itself.
    fn resolve(&self, stored: &StoredPolicy) -> Result<(Policy, Option<Policy>), String> {
        let versions = Versions::read(stored).map_err(|error| error.to_string())?;
        let environment = self.names.environment.as_ref().map(Environment::as_str);
        let (declared, bounds) = (self.names.declared(), &self.names.bounds);
        let at = |moment| {
            let resolved = versions.resolve(environment, &declared, bounds, moment);
            resolved.map_err(|error| error.to_string())
        };
        // The clock of the store that activated it may be ahead of what is known of it.
        let policy = at(self.context.now().max(stored.since))?;
        let next = policy.next_version.as_ref().map(|next| next.since);
        Ok((policy, next.map(at).transpose()?))
    }

    /// The problem of a version that this process does not use, because it knows a later one. Empty
    /// if it uses this one.
    fn why_not_later(&self, number: u64) -> String {
        match self.number() {
            Some(used) if used > number => format!(
                "it is version {number}, and this process has used version {used}; activate the policy again"
            ),
            _ => String::new(),
        }
    }

    fn note_lost(&self) {
        let mut known = self.known();
        known.seen = None;
        if let Some(number) = self.number() {
            known.problem = format!(
                "the store has lost the policy; this process keeps version {number}; activate it again"
            );
            tracing::error!(
                version = number,
                "the store has lost the active policy of sessions; this process keeps the one it knows"
            );
        }
    }

    /// The number of the version that this process uses.
    fn number(&self) -> Option<u64> {
        let policy = self.context.policy.get(self.context.now())?;
        policy.version().map(|version| version.number)
    }

    /// Tells the store which version this process uses, if that has changed or was not told for a
    /// while.
    async fn report(&self) -> Result<(), StoreError> {
        let number = self.number();
        let known = self.known().clone();
        let is_new = match &known.reported {
            None => number.is_some() || !known.problem.is_empty(),
            Some((reported, problem, at)) => {
                *reported != number || *problem != known.problem || at.elapsed() >= REPORTS_EVERY
            }
        };
        if !is_new {
            return Ok(());
        }
        let report = PolicyReport {
            process: self.process.clone(),
            number,
            after: known.after,
            problem: one_line(&known.problem),
        };
        self.context.store().report_policy(&report).await?;
        self.known().reported = Some((number, known.problem, Instant::now()));
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name for this process that operators can recognize, and that no other process has: the host,
/// the number of the process and some random characters.
pub(crate) fn process_name() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    let is_allowed = |letter: &char| letter.is_ascii_alphanumeric() || ".-_".contains(*letter);
    let mut host: String = host.chars().filter(is_allowed).take(64).collect();
    if host.is_empty() {
        host.push_str("process");
    }
    let mut random = [0; 4];
    // Without randomness, two processes of one name share their report.
    let _ = SystemRandom.fill(&mut random);
    let random = u32::from_be_bytes(random);
    format!("{host}-{}-{random:08x}", std::process::id())
}

/// A problem as it is reported.
fn one_line(problem: &str) -> String {
    let mut line = problem.replace('\n', "; ");
    let mut end = line.len().min(MAX_PROBLEM);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}

/// Starts the task that asks at intervals. It ends when the returned value is dropped.
pub(crate) fn start(
    runtime: &Runtime,
    live: &Arc<LivePolicy>,
    registrar: Option<&Arc<Registrar>>,
) -> Alive {
    let (alive, dropped) = oneshot::channel();
    runtime.spawn(run(Arc::clone(live), registrar.cloned(), dropped));
    alive
}

async fn run(
    live: Arc<LivePolicy>,
    registrar: Option<Arc<Registrar>>,
    mut dropped: oneshot::Receiver<Infallible>,
) {
    // A tenth less, so that requests rarely have to ask for themselves.
    let pause = live.fresh_for - live.fresh_for / 10;
    let signals = Signals::default();
    tokio::select! {
        () = ask_at_intervals(&live, registrar.as_deref(), &signals, pause) => {}
        () = listen(&live, &signals) => {}
        _ = &mut dropped => {}
    }
}

/// What the two halves of the task tell each other.
#[derive(Default)]
struct Signals {
    /// The store has a policy.
    has_policy: Notify,
    /// The store is to be asked now.
    ask: Notify,
}

/// Has the store asked as soon as it tells that a policy was activated. An application whose policy
/// is not in the store needs no connection for that.
async fn listen(live: &LivePolicy, signals: &Signals) {
    signals.has_policy.notified().await;
    let receive = |hint| match hint {
        Hint::Changed(_) => {}
        _ => signals.ask.notify_one(),
    };
    live.context.store().listen(&receive).await;
    // The store does not receive from others.
    std::future::pending().await
}

async fn ask_at_intervals(
    live: &LivePolicy,
    registrar: Option<&Registrar>,
    signals: &Signals,
    pause: Duration,
) {
    let mut fails = false;
    loop {
        let answered = match live.confirm(registrar).await {
            Ok(()) => live.report().await,
            Err(error) => Err(error),
        };
        if let Err(error) = &answered
            && !fails
        {
            tracing::warn!(%error, "the store does not tell the active policy of sessions");
        }
        fails = answered.is_err();
        if live.known().seen.is_some() {
            signals.has_policy.notify_one();
        }
        if !has_timers() {
            return;
        }
        // The store is asked after the pause, whatever it tells.
        let _ = time::timeout(pause, signals.ask.notified()).await;
    }
}
