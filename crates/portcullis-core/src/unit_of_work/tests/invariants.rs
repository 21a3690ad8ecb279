//! Two requests at a time do whatever they like, in any order, and the rules hold after every step.

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

/// Who does it, what, and how many seconds later.
fn turns() -> impl Strategy<Value = Vec<(usize, Act, u64)>> {
    let pause = prop_oneof![4 => Just(0), 2 => 0..120_u64, 1 => 0..2400_u64];
    prop::collection::vec((0..2_usize, act(), pause), 1..80)
}

/// What is known of a session that was live a step ago.
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
struct Asked {
    sign_in: Option<UserId>,
    elevations: HashSet<usize>,
}

/// Every key there ever was, and what was known of the sessions by their handles.
#[derive(Default)]
struct Observer {
    issued: Vec<SessionIdHash>,
    dead: HashSet<SessionIdHash>,
    known: HashMap<SessionHandle, Known>,
}

impl Observer {
    /// Looks at everything that is stored after a write that `asked` for this (or after no write).
    fn check(&mut self, world: &World, asked: &Asked) -> Result<(), TestCaseError> {
        let now = world.now();
        let mut live = HashMap::new();
        for key in &self.issued {
            let Some(stored) = world.stored(*key) else {
                self.dead.insert(*key);
                continue;
            };
            prop_assert!(!self.dead.contains(key), "a dead key came back");
            let origin = Origin::read(*key, &stored).unwrap();
            let (timing, record) = (origin.view.timing, &origin.view.record);

            prop_assert!(timing.idle_deadline() <= timing.absolute_deadline);
            prop_assert!(timing.absolute_deadline <= now.after(world.policy.timeouts.absolute()));
            prop_assert!(record.size() <= world.policy.payload_limit);
            prop_assert!(record.head.user.is_some() || record.head.elevations.is_empty());
            if let Some(user) = &record.head.user {
                prop_assert_eq!(key.bucket(), crate::Bucket::of(user));
            }
            let until = SCOPES.map(|scope| origin.view.elevated_until(scope));
            for until in until.into_iter().flatten() {
                prop_assert!(until <= timing.absolute_deadline);
                prop_assert!(until <= now.after(world.policy.timeouts.elevation()));
            }
            let known = Known {
                key: *key,
                user: record.head.user.clone(),
                absolute_deadline: timing.absolute_deadline,
                last_active_at: timing.last_active_at,
                elevated_until: until,
            };
            let other = live.insert(record.head.handle, known);
            prop_assert!(other.is_none(), "one session lives under two keys");
        }
        for (handle, after) in &live {
            self.check_change(self.known.get(handle), after, asked)?;
        }
        self.known = live;
        Ok(())
    }

    fn check_change(
        &self,
        before: Option<&Known>,
        after: &Known,
        asked: &Asked,
    ) -> Result<(), TestCaseError> {
        let Some(before) = before else {
            prop_assert_eq!(
                &after.user,
                &asked.sign_in,
                "a session began with a user of its own"
            );
            return Ok(());
        };
        prop_assert!(before.last_active_at <= after.last_active_at);
        if before == after {
            return Ok(());
        }
        if asked.sign_in.is_none() {
            prop_assert_eq!(&after.user, &before.user);
            prop_assert_eq!(after.absolute_deadline, before.absolute_deadline);
        } else if after.absolute_deadline != before.absolute_deadline {
            prop_assert_eq!(&after.user, &asked.sign_in);
            prop_assert_ne!(after.key, before.key);
        }
        for (scope, until) in after.elevated_until.iter().enumerate() {
            if until.is_some() && *until != before.elevated_until[scope] {
                prop_assert!(
                    asked.elevations.contains(&scope),
                    "nobody asked to be elevated"
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
    asked: Asked,
}

impl<'w> Request<'w> {
    fn new(visit: Visit<'w>) -> Self {
        Self {
            visit,
            asked: Asked::default(),
        }
    }

    /// Does it, and returns what a write among it was to bring about.
    fn act(&mut self, act: Act, observer: &mut Observer) -> Asked {
        match act {
            Act::Begin { age } => {
                let key = observer.issued.iter().rev().nth(age);
                let world = self.visit.world;
                *self = Self::new(key.map_or_else(|| world.stranger(), |key| world.visit(*key)));
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
                self.asked = Asked {
                    sign_in: Some(USERS[user].into()),
                    elevations: HashSet::new(),
                };
            }
            Act::Regenerate => {
                self.visit.regenerate();
                self.asked.elevations.clear();
            }
            Act::Elevate { scope } => {
                let now = self.visit.now();
                let user = self.visit.user().is_some();
                let elevated = self.visit.unit.elevate(SCOPES[scope], now);
                assert_eq!(elevated.is_ok(), user);
                if user {
                    self.asked.elevations.insert(scope);
                }
            }
            Act::DropElevation => {
                if self.visit.drop_elevation() {
                    self.asked.elevations.clear();
                }
            }
            Act::Terminate => {
                self.visit.unit.terminate();
                self.asked = Asked::default();
            }
            Act::Fail => {
                self.visit.fail();
                self.asked = Asked::default();
            }
            Act::Refuse => {
                self.visit.refuse();
                self.asked = Asked::default();
            }
            Act::Save { activity } => {
                self.visit.activity = activity;
                if let Saved::As(key) = self.visit.save()
                    && !observer.issued.contains(&key)
                {
                    observer.issued.push(key);
                }
                return std::mem::take(&mut self.asked);
            }
        }
        Asked::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_rules_hold_whatever_two_requests_do(turns in turns()) {
        let world = World::new();
        let mut observer = Observer::default();
        let mut requests = [Request::new(world.stranger()), Request::new(world.stranger())];
        for (who, act, pause) in turns {
            world.pass(Duration::from_secs(pause));
            let asked = requests[who].act(act, &mut observer);
            observer.check(&world, &asked)?;
        }
    }
}
