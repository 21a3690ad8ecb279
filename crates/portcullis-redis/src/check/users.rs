//! Judges whether users have the rights that are needed, and not far more.

use super::{
    facts::{Fact, Facts, May, UserRules},
    finding::Ruling,
    rights::{Need, Right, own_user},
};

/// Without this, a rule is lost at a restart.
const SAVE: &str = "ACL SAVE or CONFIG REWRITE";

pub(super) fn rights(facts: &Facts) -> Fact<Ruling> {
    let may = facts.may.as_ref().map_err(|why| *why)?;
    let (user, prefix) = (&facts.user, facts.prefix.of_store());
    let missing = |what: May| {
        may.iter()
            .filter(move |(right, may)| *may == what && !right.need.is_optional())
            .map(|(right, _)| *right)
    };
    let names = |what: May| {
        missing(what)
            .map(|right| right.name.to_uppercase())
            .collect()
    };
    let unknown: Vec<String> = names(May::Unknown);
    if !unknown.is_empty() {
        return Ok(Ruling::broken(
            format!("the server does not know {}", unknown.join(", ")),
            "use Redis 6.2 or later, or Valkey; its configuration must not disable or rename these \
             commands",
        ));
    }
    let commands: Vec<String> = names(May::NotCommand);
    let foreign = missing(May::NotKey).next().is_some();
    if commands.is_empty() && !foreign {
        return Ok(Ruling::fine(enough(may, facts)));
    }
    let mut lacks = Vec::new();
    let mut remedy = format!("grant these rights, and save them with {SAVE}: ACL SETUSER {user}");
    if foreign {
        lacks.push(format!("use keys that begin with {prefix}:"));
        remedy.push_str(&format!(" ~{prefix}:*"));
    }
    if !commands.is_empty() {
        lacks.push(format!("call {}", commands.join(", ")));
        for right in missing(May::NotCommand) {
            remedy.push_str(" +");
            remedy.push_str(right.name);
        }
    }
    let mut message = format!("the user {user} may not {}", lacks.join(", nor "));
    if missing(May::NotCommand)
        .chain(missing(May::NotKey))
        .any(|right| right.name == "xadd")
    {
        message.push_str("; so events of sessions are not logged");
    }
    Ok(Ruling::broken(message, remedy))
}

fn enough(may: &[(&Right, May)], facts: &Facts) -> String {
    let without = |need: Need| {
        let missing = may.iter().filter(move |(_, may)| *may != May::Yes);
        let missing = missing.filter(move |(right, _)| right.need == need);
        let names = missing.map(|(right, _)| right.name.replace('|', " ").to_uppercase());
        names.collect::<Vec<_>>().join(" and ")
    };
    let mut message = format!("the user {} has all rights that are needed", facts.user);
    let optional = without(Need::Optional);
    if !optional.is_empty() {
        message.push_str(&format!(" (without {optional}, which is optional)"));
    }
    let push = without(Need::Push);
    if !push.is_empty() {
        message.push_str(&format!(
            "; without {push} on &{}:*, live connections notice changes on other servers only at \
             their next check",
            facts.prefix.of_store()
        ));
    }
    message
}

pub(super) fn user(facts: &Facts) -> Fact<Ruling> {
    let (user, own) = (&facts.user, facts.own_rules?);
    let own_user = format!(
        "create a separate user for the application, and save it with {SAVE}: {}",
        own_user(&facts.prefix, facts.copies.is_some(), facts.topology)
    );
    if own.without_password {
        return Ok(Ruling::warning(
            format!(
                "the user {user} needs no password: any client that can connect to the server can {}",
                doing(own)
            ),
            own_user,
        ));
    }
    // A user with every command can grant itself the rest.
    if own.every_command {
        return Ok(Ruling::warning(
            format!(
                "the user {user} may call every command: an attacker who learns its password can {}",
                doing(own)
            ),
            own_user,
        ));
    }
    let default = facts.default_rules?;
    if default.enabled && default.without_password && (default.every_key || default.every_command) {
        return Ok(Ruling::warning(
            format!(
                "the rights of the user {user} are limited, but any client without a password can {}",
                doing(default)
            ),
            format!(
                "when no client uses the default user: ACL SETUSER default off; save it with {SAVE}"
            ),
        ));
    }
    Ok(Ruling::fine(format!(
        "the user {user} needs a password, and its rights are limited"
    )))
}

fn doing(rules: UserRules) -> &'static str {
    match rules {
        UserRules {
            every_key: true,
            every_command: true,
            ..
        } => "do anything, such as creating sessions and restoring ended ones",
        UserRules {
            every_command: true,
            ..
        } => "change settings of the server and call any command",
        UserRules {
            every_key: true, ..
        } => "use every key",
        _ => "use its rights",
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            facts::{Withheld, healthy},
            finding::{Finding, Subject, Verdict},
        },
        *,
    };

    fn found(judge: fn(&Facts) -> Fact<Ruling>, facts: &Facts) -> Finding {
        judge(facts)
            .unwrap_or_else(|_| panic!("no answer"))
            .about(Subject::Rights)
    }

    /// The finding about a user without these rights.
    fn lacking(lacks: &[(&str, May)]) -> Finding {
        let mut facts = healthy();
        for (right, may) in facts.may.as_mut().unwrap() {
            if let Some((_, what)) = lacks.iter().find(|(name, _)| *name == right.name) {
                *may = *what;
            }
        }
        found(rights, &facts)
    }

    #[test]
    fn a_missing_right_is_named_with_the_rule_that_grants_it() {
        let finding = lacking(&[("eval", May::NotCommand), ("set", May::NotCommand)]);
        assert_eq!(finding.verdict, Verdict::Broken);
        assert_eq!(finding.message, "the user app may not call SET, EVAL");
        assert!(
            finding
                .remedy
                .unwrap()
                .ends_with(": ACL SETUSER app +set +eval")
        );
        let finding = lacking(&[("get", May::NotKey), ("del", May::NotCommand)]);
        assert_eq!(
            finding.message,
            "the user app may not use keys that begin with pc:, nor call DEL"
        );
        assert!(
            finding
                .remedy
                .unwrap()
                .ends_with(": ACL SETUSER app ~pc:* +del")
        );
    }

    #[test]
    fn a_missing_right_to_write_the_log_is_explained() {
        for may in [May::NotCommand, May::NotKey] {
            let finding = lacking(&[("xadd", may)]);
            assert_eq!(finding.verdict, Verdict::Broken);
            assert!(finding.message.ends_with("are not logged"), "{finding:?}");
        }
    }

    #[test]
    fn a_missing_optional_right_is_named_and_fine() {
        let finding = lacking(&[("client|id", May::NotCommand), ("info", May::Unknown)]);
        assert_eq!(finding.verdict, Verdict::Fine);
        assert!(
            finding.message.contains("without INFO and CLIENT ID,"),
            "{finding:?}"
        );
    }

    #[test]
    fn missing_rights_to_the_channel_are_explained_and_fine() {
        let finding = lacking(&[("publish", May::NotKey), ("subscribe", May::NotCommand)]);
        assert_eq!(finding.verdict, Verdict::Fine);
        let message = "; without PUBLISH and SUBSCRIBE on &pc:*, live connections notice";
        assert!(finding.message.contains(message), "{finding:?}");
    }

    #[test]
    fn an_unknown_command_is_broken_and_needs_another_server() {
        let finding = lacking(&[("eval", May::Unknown)]);
        assert_eq!(finding.verdict, Verdict::Broken);
        assert_eq!(finding.message, "the server does not know EVAL");
    }

    fn user_with(own: UserRules, default: UserRules) -> Finding {
        let facts = Facts {
            own_rules: Ok(own),
            default_rules: Ok(default),
            ..healthy()
        };
        found(user, &facts)
    }

    const BOUNDED: UserRules = UserRules {
        enabled: true,
        without_password: false,
        every_key: false,
        every_command: false,
    };
    const OPEN: UserRules = UserRules {
        enabled: true,
        without_password: true,
        every_key: true,
        every_command: true,
    };

    #[test]
    fn a_user_without_a_password_or_limits_is_a_warning_with_the_command_for_another_user() {
        let mighty = UserRules {
            without_password: false,
            ..OPEN
        };
        let no_password = UserRules {
            without_password: true,
            ..BOUNDED
        };
        let administrator = UserRules {
            every_key: false,
            ..mighty
        };
        for own in [OPEN, mighty, no_password, administrator] {
            let finding = user_with(own, BOUNDED);
            assert_eq!(finding.verdict, Verdict::Warning, "{finding:?}");
            let remedy = finding.remedy.unwrap();
            assert!(remedy.contains("ACL SETUSER app on >"), "{remedy}");
            assert!(remedy.contains(" ~pc:* "), "{remedy}");
        }
        let every_key = UserRules {
            every_command: false,
            ..mighty
        };
        assert_eq!(user_with(every_key, BOUNDED).verdict, Verdict::Fine);
    }

    #[test]
    fn a_limited_user_is_a_warning_while_the_default_user_is_not_limited() {
        assert_eq!(user_with(BOUNDED, OPEN).verdict, Verdict::Warning);
        let off = UserRules {
            enabled: false,
            ..OPEN
        };
        assert_eq!(user_with(BOUNDED, off).verdict, Verdict::Fine);
        assert_eq!(user_with(BOUNDED, BOUNDED).verdict, Verdict::Fine);
    }

    #[test]
    fn rules_that_are_not_shown_are_unknown() {
        let withheld = Withheld::Forbidden("+acl|getuser");
        let facts = Facts {
            own_rules: Err(withheld),
            ..healthy()
        };
        assert_eq!(user(&facts).err(), Some(withheld));
    }
}
