//! A plan draws from the source that it is given, and from no other.

use super::*;
use crate::{NoRandomness, RandomSource};

/// Gives the bytes 0, 1, 2, … and counts them. It fails once `left` is used up.
struct Counting {
    given: usize,
    left: usize,
}

impl Counting {
    fn with(left: usize) -> Self {
        Self { given: 0, left }
    }
}

impl RandomSource for Counting {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(NoRandomness)?;
        for byte in bytes {
            *byte = self.given as u8;
            self.given += 1;
        }
        Ok(())
    }
}

/// The identifier that the plan of this request draws.
fn identifier(visit: &Visit<'_>, random: &mut Counting) -> Result<String, ChangeError> {
    match visit.unit.plan(visit.activity, visit.now(), random)?.step {
        Step::Create { id, .. } | Step::Replace { id, .. } => Ok(id.expose()),
        other => panic!("{other:?} draws no identifier"),
    }
}

#[test]
fn the_same_bytes_make_the_same_plan_again() {
    let world = World::new();
    let old = world.anonymous();
    let mut visitor = world.stranger();
    visitor.set("cart", 1);
    let mut moved = world.visit(old);
    moved.regenerate();
    let mut signed_in = world.visit(old);
    signed_in.authenticate("alice");
    // A visitor's session needs a bucket as well.
    for (visit, bytes) in [(visitor, 32), (moved, 30), (signed_in, 30)] {
        let [mut first, mut again] = [0, 1].map(|_| Counting::with(bytes));
        let drawn = identifier(&visit, &mut first).unwrap();
        assert_eq!(identifier(&visit, &mut again).unwrap(), drawn);
        assert_eq!(first.given, bytes);
        // The next bytes make another one.
        first.left = bytes;
        assert_ne!(identifier(&visit, &mut first).unwrap(), drawn);
    }
}

#[test]
fn without_random_bytes_there_is_no_plan_with_a_new_identifier() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    visit.regenerate();
    let failed = identifier(&visit, &mut Counting::with(29));
    assert!(matches!(failed, Err(ChangeError::NoRandomness(_))));
    visit.save().key();
}

#[test]
fn a_plan_that_keeps_the_identifier_draws_nothing() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    visit.set("cart", 2);
    let plan = visit
        .unit
        .plan(visit.activity, visit.now(), &mut Counting::with(0));
    assert!(matches!(plan.unwrap().step, Step::Commit { .. }));
}
