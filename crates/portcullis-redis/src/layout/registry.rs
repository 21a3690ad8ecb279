//! How the registry of realms is stored: one hash for the whole store, with an entry for each
//! realm. `lua/register.lua` describes an entry.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Class, ClassCode, Environment, Realm, Timestamp,
    store::{RegisteredClass, RegisteredRealm},
};

/// In place of no environment and of no classes. Neither a name nor a character is spelled so.
const NONE: &str = "-";

/// An environment as it is in an entry.
pub(crate) fn environment(environment: Option<&Environment>) -> Bytes {
    let name = environment.map_or(NONE, Environment::as_str);
    Bytes::copy_from_slice(name.as_bytes())
}

/// Classes as they are in an entry.
pub(crate) fn classes(classes: &[Class]) -> Bytes {
    let classes = classes
        .iter()
        .map(|class| format!("{}={}", class.code(), class.name()));
    let classes: Vec<_> = classes.collect();
    match classes.as_slice() {
        [] => Bytes::from_static(NONE.as_bytes()),
        classes => classes.join(",").into(),
    }
}

/// Reads the fields and values of the registry. The realms are sorted. An entry of a later version
/// is left out.
pub(crate) fn read_all(fields: impl IntoIterator<Item = (Bytes, Bytes)>) -> Vec<RegisteredRealm> {
    let fields = fields.into_iter();
    let mut realms: Vec<_> = fields
        .filter_map(|(realm, entry)| {
            let realm = Realm::new(std::str::from_utf8(&realm).ok()?).ok()?;
            read(realm, &entry)
        })
        .collect();
    realms.sort_unstable_by(|one, other| one.realm.cmp(&other.realm));
    realms
}

/// Reads the entry of a realm. `None` if it is of a later version.
pub(crate) fn read(realm: Realm, entry: &[u8]) -> Option<RegisteredRealm> {
    let mut words = std::str::from_utf8(entry).ok()?.splitn(5, ' ');
    Some(RegisteredRealm {
        realm,
        longest: Duration::from_millis(words.next()?.parse().ok()?),
        seen_at: Timestamp::from_millis(words.next()?.parse().ok()?),
        environment: match words.next()? {
            NONE => None,
            name => Some(Environment::new(name.to_owned()).ok()?),
        },
        classes: match words.next()? {
            NONE => Vec::new(),
            classes => classes.split(',').map(class).collect::<Option<_>>()?,
        },
        cookie: words.next()?.to_owned(),
    })
}

fn class(word: &str) -> Option<RegisteredClass> {
    let (code, name) = word.split_once('=')?;
    let mut code = code.chars();
    let (Some(first), None) = (code.next(), code.next()) else {
        return None;
    };
    Some(RegisteredClass {
        name: name.to_owned(),
        code: ClassCode::from_char(first)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Option<RegisteredRealm> {
        read(Realm::default(), text.as_bytes())
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let declared = [Class::new("admin", 'a'), Class::new("break-glass", '9')];
        let production = Environment::new("production").unwrap();
        for (environment, declared) in [(Some(&production), &declared[..]), (None, &[])] {
            let words = [self::environment(environment), classes(declared)];
            let [environment_word, class_words] = words
                .each_ref()
                .map(|word| std::str::from_utf8(word).unwrap());
            let text = format!("1000 5000 {environment_word} {class_words} a cookie");
            let read = entry(&text).unwrap();
            assert_eq!(read.longest, Duration::from_secs(1));
            assert_eq!(read.seen_at, Timestamp::from_millis(5000));
            assert_eq!(read.environment.as_ref(), environment);
            let expected: Vec<_> = declared.iter().map(RegisteredClass::from).collect();
            assert_eq!(read.classes, expected);
            assert_eq!(read.cookie, "a cookie");
        }
    }

    #[test]
    fn an_entry_of_a_later_version_is_left_out() {
        for text in [
            "",
            "1000 5000 __Host-id",
            "1000 5000 Production - id",
            "1000 5000 - admin id",
            "1000 5000 - ab=admin id",
            "2 1000 5000 - - id",
        ] {
            assert_eq!(entry(text), None, "{text}");
        }
    }
}
