//! The registry of realms in a store.

use std::{fmt, time::Duration};

use super::Register;
use crate::{Class, ClassCode, Environment, Realm, Timestamp};

/// A realm that some session layer uses or has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRealm {
    /// Its name.
    pub realm: Realm,
    /// The name of the cookie of the layer that registered it last.
    pub cookie: String,
    /// The longest absolute timeout of all its layers.
    pub longest: Duration,
    /// When a layer last registered it, on the store's clock.
    pub seen_at: Timestamp,
    /// The environment that the first layer with one recorded.
    pub environment: Option<Environment>,
    /// Every class that a layer has declared, in the order of their first registration.
    pub classes: Vec<RegisteredClass>,
}

/// A class in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredClass {
    /// Its name.
    pub name: String,
    /// Its character.
    pub code: ClassCode,
}

impl From<&Class> for RegisteredClass {
    fn from(class: &Class) -> Self {
        Self {
            name: class.name().to_owned(),
            code: class.code(),
        }
    }
}

impl RegisteredRealm {
    /// Layers register their realm at least this often.
    pub const SEEN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Whether a session of the realm can be live at `now`. Its last layer may have created one
    /// until a day after it registered the realm.
    pub fn may_have_sessions(&self, now: Timestamp) -> bool {
        now < self.seen_at.after(self.longest).after(Self::SEEN_EVERY)
    }

    /// What in a registration contradicts this entry, if anything does. A store refuses the
    /// registration then.
    pub fn conflict(&self, register: &Register<'_>) -> Option<RealmConflict> {
        let registered = self.environment.as_ref();
        if let Some(registered) = registered
            && register.environment != Some(registered)
        {
            return Some(RealmConflict::Environment {
                registered: registered.clone(),
                asked: register.environment.cloned(),
            });
        }
        let mut classes = register.classes.iter();
        classes.find_map(|asked| self.conflict_of_class(asked))
    }

    fn conflict_of_class(&self, asked: &Class) -> Option<RealmConflict> {
        let mut known = self.classes.iter();
        known.find_map(|known| match known {
            known if (known.code == asked.code()) == (known.name == asked.name()) => None,
            known if known.code == asked.code() => Some(RealmConflict::Character {
                code: known.code,
                registered: known.name.clone(),
                asked: asked.name().to_owned(),
            }),
            known => Some(RealmConflict::Name {
                name: known.name.clone(),
                registered: known.code,
                asked: asked.code(),
            }),
        })
    }
}

/// What in a registration contradicts the registry's entry of the realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealmConflict {
    /// The realm has another environment.
    Environment {
        /// The environment of the realm.
        registered: Environment,
        /// The environment of the registration.
        asked: Option<Environment>,
    },
    /// The character of a class belongs to another class.
    Character {
        /// The character.
        code: ClassCode,
        /// The name of the class to which it belongs.
        registered: String,
        /// The name of the class in the registration.
        asked: String,
    },
    /// A class has another character.
    Name {
        /// The name of the class.
        name: String,
        /// The character of the class.
        registered: ClassCode,
        /// Its character in the registration.
        asked: ClassCode,
    },
}

/// What is wrong and what to do, in one line.
impl fmt::Display for RealmConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment {
                registered,
                asked: Some(asked),
            } => write!(
                f,
                "it has the environment `{registered}`, and this process declares `{asked}`; correct the one of \
                 this process, or use another store or realm; if the environment was renamed, or the store is \
                 a copy, an operator can change the recorded one"
            ),
            Self::Environment {
                registered,
                asked: None,
            } => write!(
                f,
                "it has the environment `{registered}`, and this process declares none; declare it, or use \
                 another store or realm"
            ),
            Self::Character {
                code,
                registered,
                asked,
            } => write!(
                f,
                "sessions of the class `{registered}` may be stored with the character `{code}`, and this process \
                 declares it for the class `{asked}`; give `{asked}` a character that no class has had"
            ),
            Self::Name {
                name,
                registered,
                asked,
            } => write!(
                f,
                "its class `{name}` has the character `{registered}`, and this process declares `{asked}` for it; \
                 declare it with `{registered}`, or give the new class another name"
            ),
        }
    }
}

impl std::error::Error for RealmConflict {}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> RegisteredRealm {
        RegisteredRealm {
            realm: Realm::default(),
            cookie: "__Host-Http-id".into(),
            longest: Duration::from_secs(60 * 60),
            seen_at: Timestamp::from_millis(1_000_000),
            environment: None,
            classes: Vec::new(),
        }
    }

    #[test]
    fn a_realm_has_ended_when_no_session_of_it_can_be_live() {
        let (realm, hour) = (entry(), Duration::from_secs(60 * 60));
        assert!(realm.may_have_sessions(realm.seen_at.after(hour * 24)));
        assert!(!realm.may_have_sessions(realm.seen_at.after(hour * 25)));
    }

    #[test]
    fn a_conflict_says_what_is_wrong_and_what_to_do() {
        let realm = RegisteredRealm {
            environment: Some(Environment::new("production").unwrap()),
            classes: vec![RegisteredClass::from(&Class::new("admin", 'a'))],
            ..entry()
        };
        let production = realm.environment.clone();
        let typo = Environment::new("prod").ok();
        for (environment, class, parts) in [
            (
                &typo,
                Class::new("admin", 'a'),
                ["environment `production`", "`prod`; correct"],
            ),
            (
                &None,
                Class::new("admin", 'a'),
                ["environment `production`", "none; declare it"],
            ),
            (
                &production,
                Class::new("auditor", 'a'),
                ["class `admin`", "give `auditor` a character"],
            ),
            (
                &production,
                Class::new("admin", 'b'),
                ["character `a`", "declare it with `a`"],
            ),
        ] {
            let classes = [class];
            let register = Register::new(
                "id",
                Duration::ZERO,
                environment.as_ref(),
                classes.as_slice(),
            );
            let text = realm.conflict(&register).unwrap().to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
