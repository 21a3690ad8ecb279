//! A response that refuses or fails leaves what the rule says, for random operations in any order.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 2] = ["cart", "b"];
const USERS: [&str; 2] = ["alice", "bob"];
const SCOPES: [&str; 2] = ["general", "payments"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Set(usize, u32),
    CountUp(usize),
    Remove(usize),
    Clear,
    Extend,
    Authenticate(usize),
    Elevate(usize),
    Regenerate,
    DropElevation,
    Terminate,
}

fn act() -> impl Strategy<Value = Act> {
    let name = || 0..NAMES.len();
    prop_oneof![
        (name(), any::<u32>()).prop_map(|(name, value)| Act::Set(name, value)),
        name().prop_map(Act::CountUp),
        name().prop_map(Act::Remove),
        Just(Act::Clear),
        Just(Act::Extend),
        (0..USERS.len()).prop_map(Act::Authenticate),
        (0..SCOPES.len()).prop_map(Act::Elevate),
        Just(Act::Regenerate),
        Just(Act::DropElevation),
        Just(Act::Terminate),
    ]
}

/// What the request came with.
#[derive(Debug, Clone, Copy)]
enum Start {
    WithoutCookie,
    WithReplacedIdentifier,
    AsVisitor,
    As(&'static str),
    Elevated(&'static str),
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        Just(Start::WithoutCookie),
        Just(Start::WithReplacedIdentifier),
        Just(Start::AsVisitor),
        Just(Start::As("alice")),
        Just(Start::Elevated("alice")),
    ]
}

impl World {
    fn request(&self, start: Start) -> Visit<'_> {
        match start {
            Start::WithoutCookie => self.without_cookie(),
            Start::WithReplacedIdentifier => {
                let old = self.session_of("alice");
                let mut visit = self.visit(old);
                visit.regenerate();
                visit.save().key();
                self.visit(old)
            }
            Start::AsVisitor => self.visit(self.anonymous()),
            Start::As(user) => self.visit(self.session_of(user)),
            Start::Elevated(user) => self.visit(self.elevated(user, "general")),
        }
    }
}

impl Visit<'_> {
    /// Returns whether it granted something.
    fn act(&mut self, act: Act) -> bool {
        let now = self.now();
        match act {
            Act::Set(name, value) => self.set(NAMES[name], value),
            Act::CountUp(name) => {
                let change = |value: &mut u32| *value = value.wrapping_add(1);
                self.unit.update(&NAMES[name], change, now).unwrap();
            }
            Act::Remove(name) => {
                self.remove(NAMES[name]);
            }
            Act::Clear => self.clear(),
            Act::Extend => {
                self.extend();
            }
            Act::Authenticate(user) => {
                self.authenticate(USERS[user]);
                return true;
            }
            Act::Elevate(scope) => return self.unit.elevate(SCOPES[scope], now).is_ok(),
            Act::Regenerate => self.regenerate(),
            Act::DropElevation => {
                self.drop_elevation();
            }
            Act::Terminate => self.unit.terminate(),
        }
        false
    }

    /// All that is observable of it from outside, except what is random.
    fn observable(&self) -> String {
        let step = self.step();
        let notes = match &step {
            Step::Create { write, .. }
            | Step::Commit { write, .. }
            | Step::Replace { write, .. } => write.notes.iter().map(|note| &note.kind).collect(),
            _ => Vec::new(),
        };
        let values = NAMES.map(|name| self.get(name));
        let until = SCOPES.map(|scope| self.elevated_until(scope));
        let active = self
            .unit
            .view()
            .info(&self.world.settings.policy)
            .map(|info| info.last_active_at);
        let (user, end) = (self.user(), self.end());
        format!("{values:?} {user:?} {until:?} {active:?} {step:?} {notes:?} {end:?}")
    }
}

fn is_restrictive(act: Act) -> bool {
    matches!(act, Act::Regenerate | Act::DropElevation | Act::Terminate)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn rule_13_a_refusal_keeps_earlier_operations_and_those_that_take_rights_away(
        start in start(),
        acts in prop::collection::vec(act(), 0..8),
    ) {
        let world = World::new();
        let mut refused = world.request(start);
        let mut expected = world.visit_with(refused.unit.like());
        let mut granted = false;
        for act in acts {
            granted |= refused.act(act);
            // It also drops everything that was asked for before.
            granted &= act != Act::Terminate;
            if !granted || is_restrictive(act) {
                expected.act(act);
            }
        }
        refused.refuse();
        prop_assert_eq!(refused.observable(), expected.observable());
    }

    #[test]
    fn rule_13_a_failure_keeps_only_operations_that_take_rights_away(
        start in start(),
        acts in prop::collection::vec(act(), 0..8),
    ) {
        let world = World::new();
        let mut failed = world.request(start);
        let mut expected = world.visit_with(failed.unit.like());
        for act in acts {
            failed.act(act);
            if is_restrictive(act) {
                expected.act(act);
            }
        }
        failed.fail();
        prop_assert_eq!(failed.observable(), expected.observable());
    }
}

impl UnitOfWork {
    /// Another request that came with the same.
    fn like(&self) -> Self {
        Self {
            origin: self.origin.clone(),
            replaced: self.replaced,
            view: self.view.clone(),
            ..Self::without_session(self.settings.clone(), None)
        }
    }
}
