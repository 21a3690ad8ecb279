//! Background task that removes expired sessions and reports each expiry.

use std::{convert::Infallible, sync::Weak, time::Duration};

use portcullis_core::store::StoreError;
use tokio::{runtime::Handle as Runtime, sync::oneshot, time};

use crate::runtime::{
    context::Context,
    jitter::jitter,
    task::{Alive, has_timers},
};

/// The average pause between two sweeps. Each pause is random, from half of this to one and a half,
/// so that servers started together do not sweep together.
const PERIOD: Duration = Duration::from_secs(30);

/// Starts the task. It does not keep the store alive.
pub(crate) fn start(runtime: &Runtime, context: Weak<Context>) -> Alive {
    let (alive, dropped) = oneshot::channel();
    runtime.spawn(run(context, dropped));
    alive
}

async fn run(context: Weak<Context>, mut dropped: oneshot::Receiver<Infallible>) {
    if !has_timers() {
        tracing::warn!(
            "expired sessions are not removed because this runtime has no timers; enable them, or sweep from another program and set `SessionLayer::sweeping(false)`"
        );
        return;
    }
    let mut fails = false;
    while time::timeout(pause(), &mut dropped).await.is_err() {
        match sweep(&context).await {
            Ok(_) => fails = false,
            Err(error) if !fails => {
                fails = true;
                tracing::warn!(error = %error, "expired sessions could not be removed");
            }
            Err(_) => {}
        }
    }
}

/// Sweeps until nothing is left, and emits an event for each expiry. Returns how many there were.
pub(crate) async fn sweep(context: &Weak<Context>) -> Result<usize, StoreError> {
    let mut count = 0;
    while let Some(context) = context.upgrade() {
        let swept = context.store().sweep().await?;
        count += swept.expired.len();
        for expired in swept.expired {
            context.emit_expired(expired);
        }
        if !swept.more {
            break;
        }
        // A store that answers at once must not starve other tasks.
        tokio::task::yield_now().await;
    }
    Ok(count)
}

fn pause() -> Duration {
    PERIOD / 2 + PERIOD.mul_f64(jitter())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    };

    use portcullis_core::{
        Actor, Bucket, EndReason, Environment, Event, EventKind, Realm, SessionHandle,
        SessionIdHash, Timestamp, UserId,
        store::{
            ActivatePolicy, BucketPage, BucketSessions, ClockBounds, Commit, Committed, Create,
            Created, Ended, EnvironmentSet, Expired, Expiry, FoundPolicy, Interrupted, Listed,
            Loaded, LogQuery, Logged, Observation, PolicyActivated, PolicyEnds, PolicyReport,
            ReceivedReport, Register, Registered, RegisteredRealm, Replace, Replaced, Resume,
            Resumed, Revocation, RevocationReport, SessionCount, SettlePolicy, Settling, Store,
            StoreErrorKind, Suspend, Suspension, SuspensionReport, Swept, Termination, Touch,
            Touched, UsersAfter,
        },
    };
    use tower_layer::Layer;

    use super::*;
    use crate::{SessionLayer, runtime::audit::Audit};

    #[test]
    fn a_pause_takes_between_half_a_period_and_one_and_a_half() {
        let pauses: Vec<_> = (0..1000).map(|_| pause()).collect();
        assert!(
            pauses
                .iter()
                .all(|pause| *pause >= PERIOD / 2 && *pause <= PERIOD * 3 / 2)
        );
        assert!(pauses.iter().min() < pauses.iter().max());
    }

    /// A store that can only be swept.
    #[derive(Clone, Default)]
    struct SweepOnly(Arc<Inner>);

    #[derive(Default)]
    struct Inner {
        fails: AtomicBool,
        sweeps: Mutex<usize>,
        due: Mutex<Vec<Expired>>,
    }

    impl SweepOnly {
        fn sweeps(&self) -> usize {
            *self.0.sweeps.lock().unwrap()
        }
    }

    fn down<T>() -> Result<T, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable, "down"))
    }

    impl Store for SweepOnly {
        fn clock(&self) -> ClockBounds {
            ClockBounds::exactly(Timestamp::from_millis(0))
        }

        fn realm(&self) -> Realm {
            Realm::default()
        }

        fn in_realm(&self, _: &Realm) -> Self {
            self.clone()
        }

        async fn set_environment(&self, _: &Environment) -> Result<EnvironmentSet, StoreError> {
            down()
        }

        async fn register(&self, _: Register<'_>) -> Result<Registered, StoreError> {
            Ok(Registered::Done)
        }

        async fn realms(&self) -> Result<Vec<RegisteredRealm>, StoreError> {
            down()
        }

        async fn policy(&self, _: Option<u64>) -> Result<FoundPolicy, StoreError> {
            down()
        }

        async fn activate_policy(
            &self,
            _: ActivatePolicy<'_>,
        ) -> Result<PolicyActivated, StoreError> {
            down()
        }

        async fn report_policy(&self, _: &PolicyReport) -> Result<(), StoreError> {
            down()
        }

        async fn policy_reports(&self) -> Result<Vec<ReceivedReport>, StoreError> {
            down()
        }

        async fn settle_policy(&self, _: SettlePolicy<'_>) -> Result<Settling, StoreError> {
            down()
        }

        async fn policy_ends(&self, _: u64) -> Result<PolicyEnds, StoreError> {
            down()
        }

        async fn sessions_in(&self, _: BucketPage) -> Result<BucketSessions, StoreError> {
            down()
        }

        async fn load(&self, _: &SessionIdHash) -> Result<Loaded, StoreError> {
            down()
        }

        async fn create(&self, _: Create<'_>) -> Result<Created, Interrupted> {
            Ok(down()?)
        }

        async fn commit(&self, _: Commit<'_>) -> Result<Committed, StoreError> {
            down()
        }

        async fn replace(&self, _: Replace<'_>) -> Result<Replaced, Interrupted> {
            Ok(down()?)
        }

        async fn touch(&self, _: Touch<'_>) -> Result<Touched, StoreError> {
            down()
        }

        async fn end(&self, _: &Termination) -> Result<Ended, StoreError> {
            down()
        }

        async fn list(&self, _: &UserId) -> Result<Vec<Listed>, StoreError> {
            down()
        }

        async fn users(&self, _: Bucket) -> Result<Vec<UserId>, StoreError> {
            down()
        }

        async fn users_after(&self, _: UsersAfter<'_>) -> Result<Vec<UserId>, StoreError> {
            down()
        }

        async fn count(&self) -> Result<SessionCount, StoreError> {
            down()
        }

        async fn suspend(&self, _: Suspend<'_>) -> Result<SuspensionReport, Interrupted> {
            Ok(down()?)
        }

        async fn resume(&self, _: Resume<'_>) -> Result<Resumed, StoreError> {
            down()
        }

        async fn suspension(&self, _: &UserId) -> Result<Option<Suspension>, StoreError> {
            down()
        }

        async fn suspensions_after(
            &self,
            _: UsersAfter<'_>,
        ) -> Result<Vec<Suspension>, StoreError> {
            down()
        }

        async fn revoke(&self, _: &Revocation) -> Result<RevocationReport, Interrupted> {
            Ok(down()?)
        }

        async fn sweep(&self) -> Result<Swept, StoreError> {
            *self.0.sweeps.lock().unwrap() += 1;
            if self.0.fails.load(Ordering::SeqCst) {
                return down();
            }
            let mut due = self.0.due.lock().unwrap();
            Ok(Swept {
                expired: due.pop().into_iter().collect(),
                more: !due.is_empty(),
            })
        }

        async fn observe(&self, _: &Observation) -> Result<(), StoreError> {
            down()
        }

        async fn read_log(&self, _: &LogQuery) -> Result<Vec<Logged>, StoreError> {
            down()
        }
    }

    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<Event>>>);

    impl Audit for Recorder {
        fn record(&self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }

    fn expired(number: u8, what: Expiry) -> Expired {
        Expired {
            handle: SessionHandle::from_bytes([number; 12]),
            user: Some(UserId::from("alice")),
            what,
            at: Timestamp::from_millis(number.into()),
        }
    }

    /// Lets tasks run while time is paused.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_serves_all_services_of_a_layer_and_ends_with_the_last() {
        let store = SweepOnly::default();
        let layer = SessionLayer::new(store.clone());
        let services = [layer.layer(()), layer.layer(()), layer.clone().layer(())];
        drop(layer);
        settle().await;
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        // One sweeps, one writes the log, one registers the realm. One asks for the policy, and one
        // settles it.
        let expected = 3 + 2 * usize::from(cfg!(feature = "policy"));
        assert_eq!(tasks(), expected);
        time::sleep(PERIOD * 10).await;
        assert!((6..=20).contains(&store.sweeps()), "{}", store.sweeps());
        drop(services);
        settle().await;
        assert_eq!(tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn s105_each_expiry_is_reported_with_its_own_time_until_none_is_left() {
        let (store, audit) = (SweepOnly::default(), Recorder::default());
        store.0.due.lock().unwrap().extend([
            expired(3, Expiry::Elevation),
            expired(2, Expiry::Session(EndReason::IdleTimeout)),
            expired(1, Expiry::Session(EndReason::AbsoluteTimeout)),
        ]);
        let layer = SessionLayer::new(store.clone()).audit(audit.clone());
        let _service = layer.layer(());
        time::sleep(PERIOD * 3 / 2).await;
        let events = audit.0.lock().unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
        assert_eq!(
            kinds,
            [
                EventKind::Ended(EndReason::AbsoluteTimeout),
                EventKind::Ended(EndReason::IdleTimeout),
                EventKind::ElevationEnded,
            ]
        );
        for (event, number) in events.iter().zip(1..) {
            assert_eq!(event.at, Timestamp::from_millis(number));
            assert_eq!(event.actor, Actor::System);
            assert!(event.user.is_some() && event.correlator.is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_is_asked_again_later() {
        let store = SweepOnly::default();
        store.0.fails.store(true, Ordering::SeqCst);
        let _service = SessionLayer::new(store.clone()).layer(());
        time::sleep(PERIOD * 10).await;
        assert!(store.sweeps() >= 6);
    }

    #[tokio::test(start_paused = true)]
    async fn sweeping_can_be_turned_off() {
        let store = SweepOnly::default();
        let _service = SessionLayer::new(store.clone()).sweeping(false).layer(());
        time::sleep(PERIOD * 10).await;
        assert_eq!(store.sweeps(), 0);
    }

    #[test]
    fn a_layer_works_without_a_runtime_and_without_timers() {
        let store = SweepOnly::default();
        let layer = SessionLayer::new(store.clone());
        let _outside = layer.layer(());
        let without_timers = tokio::runtime::Builder::new_current_thread().build();
        without_timers.unwrap().block_on(async {
            let _inside = layer.layer(());
            settle().await;
        });
        assert_eq!(store.sweeps(), 0);
    }
}
