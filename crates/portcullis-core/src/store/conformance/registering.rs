//! The registry of realms: environments and classes.

use std::{future::Future, panic::Location, time::Duration};

use super::{
    Harness,
    people::name,
    subject::{answered, join_all},
};
use crate::{
    Class, Environment, Realm,
    store::{
        EnvironmentSet, RealmConflict, Register, Registered, RegisteredClass, RegisteredRealm,
        Store,
    },
};

const ADMIN: Class = Class::new("admin", 'a');
const DEVELOPER: Class = Class::new("developer", 'd');

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A realm that no other rule uses.
struct InRealm<S>(S);

fn some_realm<H: Harness>(harness: &H) -> InRealm<H::Store> {
    let realm = Realm::new(format!("realm-{}", name())).expect("a handle can be in a realm");
    InRealm(harness.store().in_realm(&realm))
}

fn environment(name: &'static str) -> Environment {
    Environment::new(name).expect("the name of an environment")
}

impl<S: Store> InRealm<S> {
    #[track_caller]
    fn try_register(
        &self,
        environment: Option<&'static str>,
        classes: &'static [Class],
    ) -> impl Future<Output = Registered> + '_ {
        let place = Location::caller();
        async move {
            let environment = environment.map(self::environment);
            let register = Register::new("__Host-id", HOUR, environment.as_ref(), classes);
            answered(self.0.register(register).await, "register", place)
        }
    }

    #[track_caller]
    fn register(
        &self,
        environment: Option<&'static str>,
        classes: &'static [Class],
    ) -> impl Future<Output = RegisteredRealm> + '_ {
        let registering = self.try_register(environment, classes);
        let entry = self.entry();
        async move {
            assert_eq!(registering.await, Registered::Done);
            entry.await.expect("the realm is in the registry")
        }
    }

    /// Registers what contradicts the registry.
    #[track_caller]
    fn conflict(
        &self,
        environment: Option<&'static str>,
        classes: &'static [Class],
    ) -> impl Future<Output = RealmConflict> + '_ {
        let registering = self.try_register(environment, classes);
        async move {
            match registering.await {
                Registered::Refused(conflict) => conflict,
                Registered::Done => panic!("a registration with a conflict was accepted"),
            }
        }
    }

    #[track_caller]
    fn entry(&self) -> impl Future<Output = Option<RegisteredRealm>> + '_ {
        let place = Location::caller();
        async move {
            let realms = answered(self.0.realms().await, "realms", place);
            let ours = self.0.realm();
            realms.into_iter().find(|known| known.realm == ours)
        }
    }

    #[track_caller]
    fn set_environment(
        &self,
        environment: &'static str,
    ) -> impl Future<Output = EnvironmentSet> + '_ {
        let place = Location::caller();
        async move {
            let environment = self::environment(environment);
            let set = self.0.set_environment(&environment).await;
            answered(set, "set_environment", place)
        }
    }
}

fn other_environment(registered: &'static str, asked: Option<&'static str>) -> RealmConflict {
    RealmConflict::Environment {
        registered: environment(registered),
        asked: asked.map(environment),
    }
}

/// As often as it is asked for.
pub async fn a_realm_is_registered_with_its_environment_and_its_classes<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    for _ in 0..2 {
        let entry = realm
            .register(Some("production"), &[ADMIN, DEVELOPER])
            .await;
        assert_eq!(entry.cookie, "__Host-id");
        assert_eq!(entry.longest, HOUR);
        assert_eq!(entry.environment, Some(environment("production")));
        let classes = [ADMIN, DEVELOPER].each_ref().map(RegisteredClass::from);
        assert_eq!(entry.classes, classes);
    }
}

/// P06: neither a typo nor the absence of a name selects other limits.
pub async fn p06_a_realm_with_an_environment_is_registered_with_no_other<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    realm.register(Some("production"), &[]).await;
    for other in [Some("prod"), Some("production-"), Some("staging"), None] {
        let expected = other_environment("production", other);
        assert_eq!(realm.conflict(other, &[]).await, expected);
    }
    realm.register(Some("production"), &[]).await;
}

/// Until then, it is registered without one.
pub async fn a_realm_without_an_environment_is_given_one_later<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    for _ in 0..2 {
        assert_eq!(realm.register(None, &[]).await.environment, None);
    }
    let entry = realm.register(Some("production"), &[]).await;
    assert_eq!(entry.environment, Some(environment("production")));
    let expected = other_environment("production", None);
    assert_eq!(realm.conflict(None, &[]).await, expected);
}

/// The character is stored with sessions, so another meaning would give them other limits.
pub async fn a_character_belongs_to_one_class_and_a_class_has_one_character<H: Harness>(
    harness: &H,
) {
    let realm = some_realm(harness);
    realm.register(None, &[DEVELOPER, ADMIN]).await;
    const AUDITOR: Class = Class::new("auditor", 'a');
    const MOVED: Class = Class::new("admin", 'b');
    const SWAPPED: Class = Class::new("admin", 'd');
    let character = RealmConflict::Character {
        code: ADMIN.code(),
        registered: "admin".into(),
        asked: "auditor".into(),
    };
    assert_eq!(realm.conflict(None, &[AUDITOR]).await, character);
    assert_eq!(realm.conflict(None, &[DEVELOPER, AUDITOR]).await, character);
    let name = RealmConflict::Name {
        name: "admin".into(),
        registered: ADMIN.code(),
        asked: MOVED.code(),
    };
    assert_eq!(realm.conflict(None, &[MOVED]).await, name);
    let swapped = RealmConflict::Character {
        code: DEVELOPER.code(),
        registered: "developer".into(),
        asked: "admin".into(),
    };
    assert_eq!(realm.conflict(None, &[SWAPPED]).await, swapped);
}

/// Not even what would be accepted by itself.
pub async fn a_refused_registration_changes_nothing<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    let before = realm.register(Some("production"), &[ADMIN]).await;
    harness.advance(super::steps::<H>(1)).await;
    const OTHER: Class = Class::new("other", 'a');
    realm.conflict(Some("staging"), &[ADMIN, DEVELOPER]).await;
    realm
        .conflict(Some("production"), &[DEVELOPER, OTHER])
        .await;
    let longer = Register::new("other", HOUR * 2, None, &[DEVELOPER]);
    let answer = realm.0.register(longer).await;
    assert!(matches!(answer, Ok(Registered::Refused(_))));
    assert_eq!(realm.entry().await, Some(before));
}

/// Their sessions may still be live.
pub async fn classes_of_earlier_versions_stay_registered<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    realm.register(None, &[ADMIN]).await;
    realm.register(None, &[]).await;
    let entry = realm.register(None, &[DEVELOPER]).await;
    let classes = [ADMIN, DEVELOPER].each_ref().map(RegisteredClass::from);
    assert_eq!(entry.classes, classes);
    const REUSED: Class = Class::new("auditor", 'a');
    realm.conflict(None, &[REUSED]).await;
}

/// It is one step: every other process is refused.
pub async fn of_many_first_registrations_one_environment_is_recorded<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    let names = [
        "one", "two", "three", "four", "five", "six", "seven", "eight",
    ];
    let handles = names.map(|name| {
        let handle = InRealm(harness.store().in_realm(&realm.0.realm()));
        async move { handle.try_register(Some(name), &[]).await }
    });
    let answers = join_all(handles).await;
    let accepted = answers.iter().filter(|answer| **answer == Registered::Done);
    assert_eq!(accepted.count(), 1);
}

/// Those that have the former one are refused from then on. A realm that is not registered is not
/// given one.
pub async fn an_operator_gives_a_realm_another_environment<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    let unregistered = realm.set_environment("staging").await;
    assert_eq!(unregistered, EnvironmentSet::Unregistered);
    assert_eq!(realm.entry().await, None);
    let entry = realm.register(None, &[ADMIN]).await;
    let before = None;
    assert_eq!(
        realm.set_environment("production").await,
        EnvironmentSet::Done { before }
    );
    let before = Some(environment("production"));
    assert_eq!(
        realm.set_environment("staging").await,
        EnvironmentSet::Done { before }
    );
    let expected = RegisteredRealm {
        environment: Some(environment("staging")),
        ..entry
    };
    assert_eq!(realm.entry().await, Some(expected));
    let conflict = other_environment("staging", Some("production"));
    assert_eq!(realm.conflict(Some("production"), &[]).await, conflict);
    realm.register(Some("staging"), &[ADMIN]).await;
}

/// It also forgets the environment and the classes, since no live session can have them.
pub async fn the_registry_forgets_a_realm_when_none_of_its_sessions_can_be_live<H: Harness>(
    harness: &H,
) {
    let realm = some_realm(harness);
    realm.register(Some("production"), &[ADMIN]).await;
    let longest = RegisteredRealm::SEEN_EVERY + HOUR;
    if H::PATIENCE < longest {
        return;
    }
    harness.advance(longest - H::TOLERANCE * 2 - HOUR / 2).await;
    realm.conflict(Some("staging"), &[]).await;
    harness.advance(HOUR / 2 + H::TOLERANCE * 4).await;
    assert_eq!(realm.entry().await, None);
    assert_eq!(
        realm.set_environment("staging").await,
        EnvironmentSet::Unregistered
    );
    const REUSED: Class = Class::new("auditor", 'a');
    let entry = realm.register(Some("staging"), &[REUSED]).await;
    assert_eq!(entry.environment, Some(environment("staging")));
    assert_eq!(entry.classes, [RegisteredClass::from(&REUSED)]);
}

/// The environment and the classes of one realm do not bind another.
pub async fn a_realm_is_registered_apart_from_others<H: Harness>(harness: &H) {
    let (one, other) = (some_realm(harness), some_realm(harness));
    one.register(Some("production"), &[ADMIN]).await;
    const AUDITOR: Class = Class::new("auditor", 'a');
    let entry = other.register(None, &[AUDITOR]).await;
    assert_eq!(entry.environment, None);
    assert_eq!(entry.classes, [RegisteredClass::from(&AUDITOR)]);
}
