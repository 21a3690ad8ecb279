//! Two concurrent requests do random things in any order. The rules hold after every step.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

const USERS: [&str; 2] = ["alice", "bob"];
const SCOPES: [&str; 2] = ["general", "payments"];
const NAMES: [&str; 3] = ["a", "b", "user"];

/// Something that one of two requests does.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A new request begins, with a cookie from this long ago.
    Begin {
        age: usize,
    },
    Set {
        name: usize,
        value: u32,
    },
    CountUp {
        name: usize,
    },
    Remove {
        name: usize,
    },
    Clear,
    Authenticate {
        user: usize,
    },
    Regenerate,
    Elevate {
        scope: usize,
    },
    DropElevation,
    Terminate,
    Fail,
    Refuse,
    Save {
        activity: Activity,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let activity = prop_oneof![Just(Activity::Active), Just(Activity::Passive)];
    prop_oneof![
        4 => prop_oneof![3 => Just(0), 1 => 0..4_usize].prop_map(|age| Act::Begin { age }),
        2 => (0..NAMES.len(), any::<u32>()).prop_map(|(name, value)| Act::Set { name, value }),
        2 => (0..NAMES.len()).prop_map(|name| Act::CountUp { name }),
        1 => (0..NAMES.len()).prop_map(|name| Act::Remove { name }),
        1 => Just(Act::Clear),
        3 => (0..USERS.len()).prop_map(|user| Act::Authenticate { user }),
        2 => Just(Act::Regenerate),
        3 => (0..SCOPES.len()).prop_map(|scope| Act::Elevate { scope }),
        1 => Just(Act::DropElevation),
        1 => Just(Act::Terminate),
        1 => Just(Act::Fail),
        1 => Just(Act::Refuse),
        6 => activity.prop_map(|activity| Act::Save { activity }),
    ]
}

/// Which request does it, what it does, and how many seconds later.
fn turns() -> impl Strategy<Value = Vec<(usize, Act, u64)>> {
    let pause = prop_oneof![4 => Just(0), 2 => 0..120_u64, 1 => 0..2400_u64];
    prop::collection::vec((0..2_usize, act(), pause), 1..80)
}

/// What is known of a session that was live one step ago.
#[derive(Clone, PartialEq)]
struct Known {
    key: SessionIdHash,
    user: Option<UserId>,
    absolute_deadline: Timestamp,
    last_active_at: Timestamp,
    elevated_until: [Option<Timestamp>; SCOPES.len()],
}

/// What a request asked for that takes effect with its next write.
#[derive(Default, Clone)]
struct Requested {
    sign_in: Option<UserId>,
    elevations: HashSet<usize>,
}

/// Every key that ever existed, and what is known of the sessions by their handles.
#[derive(Default)]
struct Observer {
    issued: Vec<SessionIdHash>,
    dead: HashSet<SessionIdHash>,
    known: HashMap<SessionHandle, Known>,
}

impl Observer {
    /// Checks everything that is stored after a write of what was `requested`, or without a write.
    fn check(&mut self, world: &World, requested: &Requested) -> Result<(), TestCaseError> {
        let now = world.now();
        let mut live = HashMap::new();
        for key in &self.issued {
            let Some(stored) = world.stored(*key) else {
                self.dead.insert(*key);
                continue;
            };
            prop_assert!(
                !self.dead.contains(key),
                "the key of an ended session is live again"
            );
            let origin = Origin::read(*key, &stored).unwrap();
            let (timing, record) = (origin.view.timing, &origin.view.record);

            prop_assert!(timing.idle_deadline() <= timing.absolute_deadline);
            prop_assert!(
                timing.absolute_deadline
                    <= now.after(world.settings.policy.ordinary.timeouts.absolute())
            );
            prop_assert!(record.size() <= world.settings.payload_limit);
            prop_assert!(record.head.user.is_some() || record.head.elevations.is_empty());
            if let Some(user) = &record.head.user {
                prop_assert_eq!(key.bucket(), crate::Bucket::of(user));
            }
            let until = SCOPES.map(|scope| record.head.elevated_for(scope, timing));
            for until in until.into_iter().flatten() {
                prop_assert!(until <= timing.absolute_deadline);
                prop_assert!(
                    until <= now.after(world.settings.policy.ordinary.timeouts.elevation())
                );
            }
            let known = Known {
                key: *key,
                user: record.head.user.clone(),
                absolute_deadline: timing.absolute_deadline,
                last_active_at: timing.last_active_at,
                elevated_until: until,
            };
            let other = live.insert(record.head.handle, known);
            prop_assert!(other.is_none(), "one session is live under two keys");
        }
        for (handle, after) in &live {
            self.check_change(self.known.get(handle), after, requested)?;
        }
        self.known = live;
        Ok(())
    }

    fn check_change(
        &self,
        before: Option<&Known>,
        after: &Known,
        requested: &Requested,
    ) -> Result<(), TestCaseError> {
        let Some(before) = before else {
            prop_assert_eq!(
                &after.user,
                &requested.sign_in,
                "a session began with a user that did not sign in"
            );
            return Ok(());
        };
        prop_assert!(before.last_active_at <= after.last_active_at);
        if before == after {
            return Ok(());
        }
        if requested.sign_in.is_none() {
            prop_assert_eq!(&after.user, &before.user);
            prop_assert_eq!(after.absolute_deadline, before.absolute_deadline);
        } else if after.absolute_deadline != before.absolute_deadline {
            prop_assert_eq!(&after.user, &requested.sign_in);
            prop_assert_ne!(after.key, before.key);
        }
        for (scope, until) in after.elevated_until.iter().enumerate() {
            if until.is_some() && *until != before.elevated_until[scope] {
                prop_assert!(
                    requested.elevations.contains(&scope),
                    "no request asked for the elevation"
                );
                prop_assert_ne!(after.key, before.key);
            }
            if until.is_none() && before.elevated_until[scope].is_some() {
                prop_assert_ne!(after.key, before.key);
            }
        }
        Ok(())
    }
}

/// One of the two requests, with what it asked for since its last write.
struct Request<'w> {
    visit: Visit<'w>,
    requested: Requested,
}

impl<'w> Request<'w> {
    fn new(visit: Visit<'w>) -> Self {
        Self {
            visit,
            requested: Requested::default(),
        }
    }

    /// Carries it out, and returns what a write in it was meant to change.
    fn act(&mut self, act: Act, observer: &mut Observer) -> Requested {
        match act {
            Act::Begin { age } => {
                let key = observer.issued.iter().rev().nth(age);
                let world = self.visit.world;
                *self =
                    Self::new(key.map_or_else(|| world.without_cookie(), |key| world.visit(*key)));
            }
            Act::Set { name, value } => self.visit.set(NAMES[name], value),
            Act::CountUp { name } => {
                let now = self.visit.now();
                let change = |value: &mut u32| *value = value.wrapping_add(1);
                self.visit.unit.update(&NAMES[name], change, now).unwrap();
            }
            Act::Remove { name } => {
                self.visit.remove(NAMES[name]);
            }
            Act::Clear => self.visit.clear(),
            Act::Authenticate { user } => {
                self.visit.authenticate(USERS[user]);
                self.requested = Requested {
                    sign_in: Some(USERS[user].into()),
                    elevations: HashSet::new(),
                };
            }
            Act::Regenerate => {
                self.visit.regenerate();
                self.requested.elevations.clear();
            }
            Act::Elevate { scope } => {
                let now = self.visit.now();
                let user = self.visit.user().is_some();
                let elevated = self.visit.unit.elevate(SCOPES[scope], now);
                assert_eq!(elevated.is_ok(), user);
                if user {
                    self.requested.elevations.insert(scope);
                }
            }
            Act::DropElevation => {
                if self.visit.drop_elevation() {
                    self.requested.elevations.clear();
                }
            }
            Act::Terminate => {
                self.visit.unit.terminate();
                self.requested = Requested::default();
            }
            Act::Fail => {
                self.visit.fail();
                self.requested = Requested::default();
            }
            Act::Refuse => {
                self.visit.refuse();
                self.requested = Requested::default();
            }
            Act::Save { activity } => {
                self.visit.activity = activity;
                if let Saved::As(key) = self.visit.save()
                    && !observer.issued.contains(&key)
                {
                    observer.issued.push(key);
                }
                return std::mem::take(&mut self.requested);
            }
        }
        Requested::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_rules_hold_for_any_actions_of_two_requests(turns in turns()) {
        let world = World::new();
        let mut observer = Observer::default();
        let mut requests = [Request::new(world.without_cookie()), Request::new(world.without_cookie())];
        for (who, act, pause) in turns {
            world.pass(Duration::from_secs(pause));
            let requested = requests[who].act(act, &mut observer);
            observer.check(&world, &requested)?;
        }
    }
}
