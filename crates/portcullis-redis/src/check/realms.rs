//! Lists the registered realms.

use portcullis_core::store::RegisteredRealm;

use super::{
    facts::{Facts, Withheld},
    finding::{Finding, Ruling, Subject},
};

/// The store cannot detect this, so every check says it.
const INDISTINGUISHABLE: &str = "two applications with the same key prefix and realm look like two \
                                 servers of one application";

/// One finding for all servers: in a cluster only one node has the registry.
pub(super) fn judge(servers: &[Facts]) -> Option<Finding> {
    let first = servers.first()?;
    let answer = servers.iter().find_map(|facts| facts.realms.as_ref().ok());
    let ruling = match answer {
        Some(realms) => Ruling::fine(format!(
            "{}; {INDISTINGUISHABLE}",
            listed(realms, first.prefix.of_store())
        )),
        None => {
            let withheld = first.realms.as_ref().err().copied();
            let withheld = withheld.unwrap_or(Withheld::Missing);
            Ruling::withheld("the registry of realms cannot be read", withheld, first)
        }
    };
    Some(ruling.about(Subject::Realms))
}

fn listed(realms: &[RegisteredRealm], prefix: &str) -> String {
    let with_cookie = |registered: &RegisteredRealm| {
        let cookie = registered.cookie.escape_debug();
        format!("{} (cookie {cookie})", registered.realm)
    };
    let names: Vec<_> = realms.iter().map(with_cookie).collect();
    match names.as_slice() {
        [] => format!("no realm is registered under the key prefix {prefix}"),
        [name] => format!("1 realm is registered under the key prefix {prefix}: {name}"),
        names => format!(
            "{} realms are registered under the key prefix {prefix}: {}",
            names.len(),
            names.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_core::{Realm, Timestamp};

    use super::{
        super::{
            facts::{Fact, healthy},
            finding::Verdict,
        },
        *,
    };

    fn registered(realm: &str) -> RegisteredRealm {
        RegisteredRealm {
            realm: Realm::new(realm).unwrap(),
            cookie: format!("__Host-{realm}\n"),
            longest: Duration::from_secs(1),
            seen_at: Timestamp::from_millis(1),
            environment: None,
            classes: Vec::new(),
        }
    }

    fn found(realms: Vec<Fact<Vec<RegisteredRealm>>>) -> Finding {
        let server = |realms| Facts {
            realms,
            ..healthy()
        };
        let servers: Vec<_> = realms.into_iter().map(server).collect();
        judge(&servers).unwrap()
    }

    #[test]
    fn realms_are_listed_with_their_cookies_in_one_line_and_are_fine() {
        for (realms, message) in [
            (vec![], "no realm is registered under the key prefix pc; "),
            (
                vec![registered("id")],
                r"1 realm is registered under the key prefix pc: id (cookie __Host-id\n); ",
            ),
            (
                vec![registered("admin"), registered("id")],
                r"2 realms are registered under the key prefix pc: admin (cookie __Host-admin\n), id (cookie __Host-id\n); ",
            ),
        ] {
            let finding = found(vec![Ok(realms)]);
            assert_eq!(finding.verdict, Verdict::Fine);
            assert_eq!(finding.message, format!("{message}{INDISTINGUISHABLE}"));
        }
    }

    #[test]
    fn of_a_cluster_the_node_with_the_registry_counts() {
        let elsewhere = || Err(Withheld::Missing);
        let finding = found(vec![elsewhere(), Ok(vec![registered("id")]), elsewhere()]);
        assert!(finding.message.starts_with("1 realm "), "{finding:?}");
        assert_eq!(found(vec![elsewhere()]).verdict, Verdict::Unknown);
    }

    #[test]
    fn a_registry_that_the_user_may_not_read_is_unknown_and_the_right_is_named() {
        let finding = found(vec![Err(Withheld::Forbidden("+hgetall"))]);
        assert_eq!(finding.verdict, Verdict::Unknown);
        let remedy = finding.remedy.unwrap();
        assert!(remedy.ends_with("ACL SETUSER app +hgetall"), "{remedy}");
    }
}
