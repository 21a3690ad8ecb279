//! The realms that a command is for.

use portcullis::{
    RedisStore,
    settings::{ClassCode, Realm},
    store::{RegisteredClass, RegisteredRealm, Store},
};

use crate::{
    args::Connection,
    exit::{Failure, chain},
    screen::print_message,
    text,
};

/// In place of `--realm`.
const VARIABLE: &str = "PORTCULLIS_REALM";

/// The choice on the command line, or else in the environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The only one that is registered.
    Sole,
    Named(Realm),
    All,
}

impl Selection {
    pub(crate) fn of(connection: &Connection) -> Result<Self, Failure> {
        Self::read(connection, std::env::var_os(VARIABLE))
    }

    fn read(
        connection: &Connection,
        variable: Option<std::ffi::OsString>,
    ) -> Result<Self, Failure> {
        match (&connection.realm, connection.all_realms) {
            (Some(_), true) => Err(Failure::Usage(
                "--realm and --all-realms cannot be used together".into(),
            )),
            (Some(realm), false) => Ok(Self::Named(realm.clone())),
            (None, true) => Ok(Self::All),
            (None, false) => match variable.filter(|value| !value.is_empty()) {
                None => Ok(Self::Sole),
                Some(value) => match Realm::new(value.to_string_lossy()) {
                    Ok(realm) => Ok(Self::Named(realm)),
                    Err(error) => Err(Failure::Usage(format!("{VARIABLE}: {}", chain(&error)))),
                },
            },
        }
    }

    /// The realms in the store that the command is for, in order of name: never none.
    pub(crate) async fn resolve(&self, store: &RedisStore) -> Result<Vec<Selected>, Failure> {
        let registered = store.realms().await.map_err(|error| {
            let error = chain(&error);
            Failure::Store(format!("the registry of realms cannot be read: {error}"))
        });
        match self {
            Self::Named(realm) => {
                // The registry is read for a hint only. The command itself finds out whether the
                // store can be used.
                let found = registered
                    .ok()
                    .and_then(|registered| named(realm, &registered));
                Ok(vec![found.unwrap_or_else(|| realm.clone().into())])
            }
            Self::Sole => sole(registered?).map(|selected| vec![selected]),
            Self::All => {
                let registered = registered?;
                if registered.is_empty() {
                    print_message("no layer has registered a realm; using only the realm `id`");
                    return Ok(vec![Realm::default().into()]);
                }
                Ok(registered.into_iter().map(Selected::from).collect())
            }
        }
    }
}

/// A realm that a command is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) realm: Realm,
    /// Known if the realm is registered.
    pub(crate) cookie: Option<String>,
    pub(crate) classes: ClassNames,
}

/// The classes that the layers of a realm have declared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassNames(Vec<RegisteredClass>);

impl ClassNames {
    /// The class with this name.
    pub(crate) fn named(&self, name: &str) -> Option<&RegisteredClass> {
        self.0.iter().find(|class| &*class.name == name)
    }

    /// The name of a session's class, or its character if that is not registered. `None` for a
    /// session of no class.
    pub(crate) fn name(&self, code: ClassCode) -> Option<String> {
        if code == ClassCode::NONE {
            return None;
        }
        let mut classes = self.0.iter();
        let class = classes.find(|class| class.code == code);
        Some(class.map_or_else(|| code.to_string(), |class| class.name.clone()))
    }
}

impl From<Realm> for Selected {
    fn from(realm: Realm) -> Self {
        Self {
            realm,
            cookie: None,
            classes: ClassNames::default(),
        }
    }
}

impl From<RegisteredRealm> for Selected {
    fn from(registered: RegisteredRealm) -> Self {
        Self {
            realm: registered.realm,
            cookie: Some(registered.cookie),
            classes: ClassNames(registered.classes),
        }
    }
}

/// `None` is for a realm that is not registered. Its sessions can be listed and ended all the same,
/// so this is only a message.
fn named(realm: &Realm, registered: &[RegisteredRealm]) -> Option<Selected> {
    let found = registered.iter().find(|known| known.realm == *realm);
    if found.is_none() {
        let known: Vec<_> = registered
            .iter()
            .map(|known| known.realm.as_str())
            .collect();
        let known = match known.as_slice() {
            [] => "none is registered".to_owned(),
            known => format!("registered: {}", known.join(", ")),
        };
        print_message(&format!(
            "no layer has registered the realm {realm} ({known})"
        ));
    }
    found.cloned().map(Selected::from)
}

/// A choice that the operator did not make must not depend on chance.
fn sole(registered: Vec<RegisteredRealm>) -> Result<Selected, Failure> {
    let width = registered.iter().map(|known| known.realm.as_str().len());
    let width = width.max().unwrap_or(0);
    let number = registered.len();
    let mut lines = String::new();
    for known in &registered {
        let (realm, cookie) = (known.realm.as_str(), text::word(known.cookie.as_bytes()));
        lines.push_str(&format!("\n  {realm:<width$}  cookie {cookie}"));
    }
    let mut registered = registered.into_iter();
    match (registered.next(), registered.next()) {
        (None, _) => Ok(Realm::default().into()),
        (Some(only), None) => Ok(only.into()),
        _ => Err(Failure::Usage(format!(
            "{number} realms are registered; name one with --realm, or use --all-realms:{lines}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use portcullis::session::Timestamp;

    use super::*;
    use crate::args::CommandLine;

    fn realm(name: &str) -> Realm {
        Realm::new(name).unwrap()
    }

    fn registered(name: &str, cookie: &str) -> RegisteredRealm {
        RegisteredRealm {
            realm: realm(name),
            cookie: cookie.to_owned(),
            longest: Duration::from_secs(1),
            seen_at: Timestamp::from_millis(1),
            environment: None,
            classes: Vec::new(),
        }
    }

    #[test]
    fn the_command_line_overrides_the_environment() {
        let named = |name| Some(Selection::Named(realm(name)));
        for (arguments, variable, selection) in [
            (&[][..], None, Some(Selection::Sole)),
            (&[], Some(""), Some(Selection::Sole)),
            (&[], Some("admin"), named("admin")),
            (&[], Some("a:b"), None),
            (&["--realm=shop"], Some("admin"), named("shop")),
            (&["--all-realms"], Some("admin"), Some(Selection::All)),
            (&["--all-realms", "--realm=shop"], None, None),
        ] {
            let line = [&["portcullis", "list", "alice"], arguments].concat();
            let Ok(line) = CommandLine::try_parse_from(line) else {
                panic!("not parsed")
            };
            let read = Selection::read(&line.connection, variable.map(Into::into));
            assert_eq!(read.ok(), selection, "{arguments:?} {variable:?}");
        }
    }

    #[test]
    fn both_options_are_refused_even_with_the_command_between_them() {
        let line = [
            "portcullis",
            "--realm=shop",
            "list",
            "alice",
            "--all-realms",
        ];
        let Ok(line) = CommandLine::try_parse_from(line) else {
            panic!("not parsed")
        };
        assert!(Selection::read(&line.connection, None).is_err());
    }

    #[test]
    fn the_only_realm_is_chosen_and_of_several_none() {
        assert_eq!(sole(vec![]).unwrap().realm, Realm::default());
        let admin = registered("admin", "__Host-admin");
        assert_eq!(sole(vec![admin.clone()]).unwrap().realm, realm("admin"));
        let Err(Failure::Usage(text)) = sole(vec![admin, registered("id", "a\x1bb")]) else {
            panic!("one was chosen")
        };
        assert_eq!(
            text,
            "2 realms are registered; name one with --realm, or use --all-realms:\n  \
             admin  cookie __Host-admin\n  id     cookie \"a\\u{1b}b\""
        );
    }
}
