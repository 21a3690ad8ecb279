//! A session that is used from another device than the one on which its user authenticated.

use super::*;
use crate::policy::{FlaggedElevation, FlaggedLimits};

/// A request with the cookie of `key` from this client.
fn visit_from<'w>(world: &'w World, key: SessionIdHash, agent: &str) -> Visit<'w> {
    let mut visit = world.visit(key);
    visit.unit = visit.unit.from_client(client(agent));
    visit
}

fn client(agent: &str) -> Client {
    Client::of_user_agent(agent.as_bytes())
}

const PHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1";
const DESK: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

impl World {
    /// A session of alice, who signed in from her phone.
    fn on_phone(&self) -> SessionIdHash {
        let unit =
            UnitOfWork::without_session(self.settings.clone(), None).from_client(client(PHONE));
        let mut visit = self.visit_with(unit);
        visit.set("cart", 1);
        visit.authenticate("alice");
        visit.save().key()
    }
}

impl Visit<'_> {
    fn flag(&mut self, distrust: bool) {
        let now = self.now();
        self.unit.flag(distrust, now).unwrap();
    }

    fn changed(&self) -> bool {
        self.unit.change_of_client().is_some()
    }
}

fn logged_changes(world: &World) -> usize {
    let events = world.log().into_iter();
    events
        .filter(|kind| matches!(kind, EventKind::DeviceChanged(_)))
        .count()
}

#[test]
fn s079_the_same_client_is_no_change() {
    let world = World::new();
    let mut visit = visit_from(&world, world.on_phone(), PHONE);
    assert!(!visit.changed());
    visit.flag(true);
    assert!(!visit.unit.is_dirty());
}

#[test]
fn s079_the_first_use_from_another_client_is_noted_once() {
    let world = World::new();
    let key = world.on_phone();
    let mut visit = visit_from(&world, key, DESK);
    let change = visit.unit.change_of_client().unwrap();
    visit.flag(false);
    assert!(visit.unit.only_observes());
    assert_eq!(visit.events(), [EventKind::DeviceChanged(change)]);
    assert_eq!(visit.save().key(), key, "the identifier stays");

    for agent in [DESK, PHONE] {
        let mut again = visit_from(&world, key, agent);
        assert!(!again.changed());
        assert_eq!(
            again.unit.view().flagged(),
            Some(change),
            "and stays flagged"
        );
        again.flag(false);
        assert!(matches!(again.step(), Step::Nothing));
    }
    assert_eq!(logged_changes(&world), 1);
}

#[test]
fn a_flagged_session_is_flagged_in_the_list() {
    let world = World::new();
    let key = world.on_phone();
    let entry =
        || SessionEntry::read(&world.stored(key).unwrap(), &Arc::default(), world.now()).unwrap();
    assert_eq!(
        (entry().client, entry().flagged),
        (Some(client(PHONE)), None)
    );
    let mut visit = visit_from(&world, key, DESK);
    let change = visit.unit.change_of_client();
    visit.flag(false);
    visit.save();
    let flagged = entry();
    assert_eq!(
        (flagged.client, flagged.flagged),
        (Some(client(PHONE)), change)
    );
}

#[test]
fn a_new_authentication_makes_the_present_client_the_trusted_one() {
    let proofs: [fn(&mut Visit<'_>); 2] = [
        |visit| visit.authenticate("alice"),
        |visit| visit.elevate("payments"),
    ];
    for proof in proofs {
        let world = World::new();
        let mut visit = visit_from(&world, world.on_phone(), DESK);
        visit.flag(false);
        proof(&mut visit);
        let key = visit.save().key();
        assert_eq!(
            logged_changes(&world),
            1,
            "it was still used from another client"
        );
        assert_eq!(world.visit(key).unit.view().flagged(), None);
        assert!(!visit_from(&world, key, DESK).changed());
        assert!(visit_from(&world, key, PHONE).changed());
    }
}

#[test]
fn with_distrust_the_elevation_is_dropped_and_the_identifier_changes() {
    let world = World::new();
    let mut visit = visit_from(&world, world.on_phone(), PHONE);
    visit.elevate("payments");
    let old = visit.save().key();

    let mut visit = visit_from(&world, old, DESK);
    let change = visit.unit.change_of_client().unwrap();
    visit.flag(true);
    assert!(!visit.is_elevated("payments") && !visit.unit.only_observes());
    let expected = [
        EventKind::DeviceChanged(change),
        EventKind::ElevationDropped,
    ];
    assert_eq!(visit.events(), expected);
    let new = visit.save().key();
    assert_eq!(world.end_of(old), Some(EndReason::Replaced));
    assert!(!visit_from(&world, new, DESK).changed());
    assert!(!world.visit(new).is_elevated("payments"));
}

#[test]
fn with_distrust_a_session_without_elevation_is_only_flagged() {
    let world = World::new();
    let key = world.on_phone();
    let mut visit = visit_from(&world, key, DESK);
    visit.flag(true);
    assert!(visit.unit.only_observes());
    assert_eq!(visit.save().key(), key);
}

#[test]
fn a_session_without_a_known_client_is_never_flagged() {
    let world = World::new();
    for key in [world.anonymous(), world.session_of("alice")] {
        let mut visit = visit_from(&world, key, DESK);
        assert!(!visit.changed());
        visit.flag(true);
        assert!(!visit.unit.is_dirty() && visit.unit.view().flagged().is_none());
    }
}

#[test]
fn a_request_from_an_unknown_client_flags_nothing() {
    let world = World::new();
    let mut visit = world.visit(world.on_phone());
    assert!(!visit.changed());
    visit.flag(true);
    assert!(!visit.unit.is_dirty());
}

#[test]
fn a_request_with_other_changes_does_not_only_observe() {
    let world = World::new();
    let key = world.on_phone();
    assert!(!visit_from(&world, key, DESK).unit.only_observes());
    let more: [fn(&mut Visit<'_>); 3] = [
        |visit| visit.set("cart", 2),
        |visit| visit.regenerate(),
        |visit| visit.unit.terminate(),
    ];
    for operation in more {
        let mut visit = visit_from(&world, key, DESK);
        visit.flag(false);
        operation(&mut visit);
        assert!(!visit.unit.only_observes());
    }
}

#[test]
fn s139_a_failed_handler_keeps_the_observation() {
    let world = World::new();
    let key = world.on_phone();
    let mut visit = visit_from(&world, key, DESK);
    visit.flag(false);
    visit.set("cart", 2);
    visit.authenticate("bob");
    visit.fail();
    assert!(visit.unit.only_observes());
    visit.save();
    assert_eq!(logged_changes(&world), 1);
    let visit = visit_from(&world, key, DESK);
    assert_eq!((visit.user(), visit.get("cart")), (Some("alice"), Some(1)));
    assert!(!visit.changed() && visit.unit.view().flagged().is_some());
}

#[test]
fn t80_an_observation_is_kept_where_another_request_was_faster() {
    let world = World::new();
    let key = world.on_phone();
    let (mut slow, mut fast) = (visit_from(&world, key, DESK), world.visit(key));
    slow.flag(false);
    fast.set("cart", 5);
    fast.save();
    slow.save();
    assert_eq!(logged_changes(&world), 1);
    let visit = world.visit(key);
    assert_eq!(visit.get("cart"), Some(5));
    assert!(visit.unit.view().flagged().is_some());
}

#[test]
fn t80_of_two_requests_from_another_client_one_reports_it() {
    let operations: [fn(&mut Visit<'_>, &str); 3] = [
        |_, _| {},
        |visit, name| visit.set(name, 1),
        |visit, _| visit.regenerate(),
    ];
    for operation in operations {
        let world = World::new();
        let key = world.on_phone();
        let mut requests = [(); 2].map(|()| visit_from(&world, key, DESK));
        for (request, name) in requests.iter_mut().zip(["one", "other"]) {
            request.flag(false);
            operation(request, name);
        }
        for request in &mut requests {
            request.save();
        }
        assert_eq!(logged_changes(&world), 1);
    }
}

#[test]
fn a_session_may_be_ended_for_a_change_of_client() {
    let world = World::new();
    let key = world.on_phone();
    let mut visit = visit_from(&world, key, DESK);
    visit.unit.terminate_for(EndReason::DeviceChanged);
    assert_eq!(visit.end(), Some((key, EndReason::DeviceChanged)));
    assert!(!visit.unit.view().exists());
    visit.unit.terminate();
    assert_eq!(
        visit.end(),
        Some((key, EndReason::DeviceChanged)),
        "the first reason stays"
    );
    visit.save();
    assert_eq!(world.end_of(key), Some(EndReason::DeviceChanged));
}

#[test]
fn rule_12_a_change_that_two_requests_notice_at_once_is_logged_once() {
    let world = World::new();
    let key = world.on_phone();
    let [mut faster, mut slower] = [0, 1].map(|_| visit_from(&world, key, DESK));
    faster.flag(false);
    slower.flag(false);
    slower.set("note", 1);
    faster.save();
    assert_eq!(slower.save().key(), key);
    assert_eq!(world.visit(key).get("note"), Some(1));
    assert_eq!(logged_changes(&world), 1);
}

#[test]
fn rule_13_a_change_of_device_is_recorded_though_the_elevation_after_it_is_refused() {
    let world = World::new();
    for undo in [Visit::refuse, Visit::fail] {
        let mut visit = visit_from(&world, world.on_phone(), DESK);
        visit.flag(true);
        visit.elevate("general");
        assert_eq!(visit.unit.view().flagged(), None, "the elevation resets it");
        undo(&mut visit);
        assert!(visit.unit.view().flagged().is_some());
        assert!(visit.unit.only_observes());
    }
}

/// The policy caps the idle timeout of flagged sessions to 5 minutes.
fn world_with_cap(elevation: FlaggedElevation) -> World {
    let mut world = World::new();
    let policy = Arc::make_mut(&mut world.settings.policy);
    policy.flagged = FlaggedLimits {
        idle: Some(5 * MINUTE),
        elevation,
    };
    world
}

#[test]
fn a_flagged_session_has_the_capped_idle_timeout_until_a_proof() {
    let world = world_with_cap(FlaggedElevation::Unchanged);
    let key = world.on_phone();
    let mut visit = visit_from(&world, key, DESK);
    visit.flag(false);
    visit.save();
    let mut flagged = visit_from(&world, key, DESK);
    assert_eq!(flagged.info().idle_timeout, 5 * MINUTE);

    flagged.elevate("general");
    let key = flagged.save().key();
    assert_eq!(world.visit(key).info().idle_timeout, 30 * MINUTE);
}

#[test]
fn the_cap_never_extends_a_shorter_idle_timeout() {
    let mut world = world_with_cap(FlaggedElevation::Unchanged);
    world.ordinary().timeouts = Timeouts::new(MINUTE, HOUR).unwrap();
    let key = world.on_phone();
    let mut visit = visit_from(&world, key, DESK);
    visit.flag(false);
    visit.save();
    assert_eq!(world.visit(key).info().idle_timeout, MINUTE);
}

#[test]
fn a_policy_ends_the_elevations_of_flagged_sessions() {
    for (elevation, is_elevated) in [
        (FlaggedElevation::Unchanged, true),
        (FlaggedElevation::Ended, false),
    ] {
        let world = world_with_cap(elevation);
        let mut visit = visit_from(&world, world.on_phone(), PHONE);
        visit.elevate("general");
        let key = visit.save().key();
        let mut visit = visit_from(&world, key, DESK);
        visit.flag(false);
        assert_eq!(visit.is_elevated("general"), is_elevated);
    }
}

#[test]
fn an_approval_ends_where_the_elevations_of_a_flagged_session_end() {
    let operation = || Operation::of("transfer", b"ten");
    for (distrust, ends) in [(false, false), (true, true)] {
        let world = World::new();
        let mut visit = visit_from(&world, world.on_phone(), PHONE);
        visit.unit.approve(operation(), world.now()).unwrap();
        let key = visit.save().key();
        let mut visit = visit_from(&world, key, DESK);
        visit.flag(distrust);
        let used = visit.unit.use_approval(operation(), world.now());
        assert_eq!(used.is_err(), ends, "{distrust}");
    }
}

#[test]
fn without_a_cap_a_proof_leaves_the_idle_timeout_as_it_is() {
    let mut world = World::new();
    let key = world.on_phone();
    world.ordinary().timeouts = Timeouts::new(HOUR, 24 * HOUR).unwrap();
    let mut visit = visit_from(&world, key, DESK);
    visit.flag(false);
    visit.elevate("general");
    let key = visit.save().key();
    assert_eq!(world.visit(key).info().idle_timeout, 30 * MINUTE);
}

#[test]
fn a_proof_restores_no_more_than_the_idle_timeout_that_the_application_shortened() {
    let mut world = World::new();
    Arc::make_mut(&mut world.settings.policy).flagged.idle = Some(MINUTE);
    let mut visit = world.visit(world.on_phone());
    visit.shorten(Some(5 * MINUTE), None);
    let mut visit = visit_from(&world, visit.save().key(), DESK);
    visit.flag(false);
    assert_eq!(visit.info().idle_timeout, MINUTE);
    visit.elevate("payments");
    let key = visit.save().key();
    assert_eq!(world.visit(key).info().idle_timeout, 5 * MINUTE);
}
