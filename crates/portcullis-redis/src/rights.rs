//! What a user must be allowed. The only place.

use crate::{check::PartOf, keys::Prefix};

/// A command, as rules of an ACL spell it.
#[derive(Debug)]
pub(crate) struct Right {
    pub(crate) name: &'static str,
    /// With these it could be carried out; [`KEY`] stands for one of ours, [`LOG`] for that of a log, and [`CHANNEL`] for
    /// our channel.
    arguments: &'static [&'static str],
    pub(crate) need: Need,
}

/// What a right is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Sessions,
    /// Without it sessions work, but something else is missed.
    Comfort,
    /// Without it live connections notice only by looking what happens on other servers.
    Push,
    /// Only where revocations are confirmed by replicas.
    Confirmation,
    /// Only in a cluster.
    Cluster,
    /// Only where Sentinel names the primary.
    Sentinels,
}

const KEY: &str = "KEY";
const LOG: &str = "LOG";
const CHANNEL: &str = "CHANNEL";

const fn needed(name: &'static str, arguments: &'static [&'static str]) -> Right {
    Right {
        name,
        arguments,
        need: Need::Sessions,
    }
}

const fn only(need: Need, name: &'static str, arguments: &'static [&'static str]) -> Right {
    Right {
        name,
        arguments,
        need,
    }
}

const fn optional(name: &'static str) -> Right {
    Right {
        name,
        arguments: &[],
        need: Need::Comfort,
    }
}

/// Scripts need the rights to what they call.
pub(crate) const RIGHTS: [Right; 34] = [
    needed("time", &[]),
    optional("info"),
    optional("client|id"),
    needed("get", &[KEY]),
    needed("del", &[KEY]),
    needed("set", &[KEY, "value"]),
    needed("getrange", &[KEY, "0", "1"]),
    needed("setrange", &[KEY, "0", "value"]),
    needed("pexpireat", &[KEY, "1"]),
    needed("pttl", &[KEY]),
    needed("eval", &["return 1", "1", KEY]),
    needed("evalsha", &["hash", "1", KEY]),
    needed("zadd", &[KEY, "1", "member"]),
    needed("zrem", &[KEY, "member"]),
    needed("zscore", &[KEY, "member"]),
    needed("zrange", &[KEY, "0", "1"]),
    needed("zrangebyscore", &[KEY, "0", "1"]),
    needed("hget", &[KEY, "field"]),
    needed("hset", &[KEY, "field", "value"]),
    needed("hgetall", &[KEY]),
    needed("xadd", &[LOG, "*", "field", "value"]),
    needed("xdel", &[LOG, "1"]),
    needed("xinfo|stream", &[LOG]),
    needed("xlen", &[LOG]),
    needed("xrange", &[LOG, "-", "+"]),
    needed("xrevrange", &[LOG, "+", "-"]),
    needed("xtrim", &[LOG, "MAXLEN", "1"]),
    only(Need::Push, "ping", &[]),
    only(Need::Push, "publish", &[CHANNEL, "name"]),
    only(Need::Push, "subscribe", &[CHANNEL]),
    only(Need::Confirmation, "wait", &["1", "1"]),
    only(Need::Cluster, "cluster|slots", &[]),
    only(Need::Cluster, "asking", &[]),
    only(Need::Sentinels, "role", &[]),
];

/// What a store with these settings asks for.
pub(crate) fn asked_for(confirmed: bool, part_of: PartOf) -> impl Iterator<Item = &'static Right> {
    RIGHTS.iter().filter(move |right| match right.need {
        Need::Sessions | Need::Comfort | Need::Push => true,
        Need::Confirmation => confirmed,
        Need::Cluster => part_of == PartOf::Cluster,
        Need::Sentinels => part_of == PartOf::Sentinels,
    })
}

impl Need {
    /// Whether sessions are as safe without it.
    pub(crate) fn can_be_missed(self) -> bool {
        matches!(self, Self::Comfort | Self::Push)
    }
}

impl Right {
    /// The command with arguments, on a key or a channel with this prefix.
    pub(crate) fn example(&self, prefix: &Prefix) -> Vec<String> {
        let arguments = self.arguments.iter().map(|argument| match *argument {
            KEY => format!("{}:{{0}}check", prefix.of_store()),
            LOG => format!("{}:id:{{0}}:l", prefix.of_store()),
            CHANNEL => prefix.channel(),
            other => other.to_owned(),
        });
        self.name
            .split('|')
            .map(str::to_uppercase)
            .chain(arguments)
            .collect()
    }
}

/// The command that makes a user who may do what is needed, and nothing else.
pub(crate) fn own_user(prefix: &Prefix, confirmed: bool, part_of: PartOf) -> String {
    let mut command = format!(
        "ACL SETUSER app on >PASSWORD resetkeys ~{0}:* resetchannels &{0}:* nocommands",
        prefix.of_store()
    );
    for right in asked_for(confirmed, part_of) {
        command.push_str(" +");
        command.push_str(right.name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Prefix {
        Prefix::new("shop".into()).unwrap()
    }

    #[test]
    fn an_example_is_the_command_on_a_key_or_a_channel_of_ours() {
        let example = |name| {
            let right = RIGHTS.iter().find(|right| right.name == name).unwrap();
            right.example(&shop()).join(" ")
        };
        assert_eq!(example("client|id"), "CLIENT ID");
        assert_eq!(example("eval"), "EVAL return 1 1 shop:{0}check");
        assert_eq!(example("xlen"), "XLEN shop:id:{0}:l");
        assert_eq!(example("publish"), "PUBLISH shop:id:ended name");
    }

    #[test]
    fn a_user_of_its_own_is_bound_to_the_prefix_and_to_commands_by_name() {
        let command = own_user(&shop(), false, PartOf::Nothing);
        assert!(command.contains(" ~shop:* "), "{command}");
        assert!(command.contains(" &shop:* "), "{command}");
        assert!(command.contains(" nocommands +time +info "), "{command}");
        assert!(!command.contains('@'), "{command}");
        assert!(!command.contains("+wait"), "{command}");
        let confirmed = own_user(&shop(), true, PartOf::Nothing);
        assert_eq!(confirmed, format!("{command} +wait"));
        let in_a_cluster = own_user(&shop(), false, PartOf::Cluster);
        assert_eq!(in_a_cluster, format!("{command} +cluster|slots +asking"));
        let watched = own_user(&shop(), false, PartOf::Sentinels);
        assert_eq!(watched, format!("{command} +role"));
    }
}
