//! The rights that a user needs. They are listed here only.

use super::topology::Topology;
use crate::layout::Prefix;

/// A command with its name in the rules of an ACL.
#[derive(Debug)]
pub(crate) struct Right {
    pub(crate) name: &'static str,
    /// Arguments of a valid call. [`KEY`] stands for a key of the store, [`LOG`] for the key of a
    /// log, and [`CHANNEL`] for the channel.
    arguments: &'static [&'static str],
    pub(crate) need: Need,
}

/// What a right is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Sessions,
    /// Sessions work without it, but something else does not.
    Optional,
    /// Without it, live connections notice changes on other servers only at their next check.
    Push,
    /// Only where replicas confirm revocations.
    Confirmation,
    /// Only in a cluster.
    Cluster,
    /// Only where Sentinels name the primary.
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
        need: Need::Optional,
    }
}

/// All rights. Scripts need the rights to the commands they call.
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

/// The rights that a store with these settings needs.
pub(crate) fn required(
    confirmed: bool,
    topology: Topology,
) -> impl Iterator<Item = &'static Right> {
    RIGHTS.iter().filter(move |right| match right.need {
        Need::Sessions | Need::Optional | Need::Push => true,
        Need::Confirmation => confirmed,
        Need::Cluster => topology == Topology::Cluster,
        Need::Sentinels => topology == Topology::Sentinels,
    })
}

impl Need {
    /// Whether sessions are as safe without it.
    pub(crate) fn is_optional(self) -> bool {
        matches!(self, Self::Optional | Self::Push)
    }
}

impl Right {
    /// A valid call of the command, on a key or a channel with this prefix.
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

/// The command that creates a user with the needed rights and no others.
pub(crate) fn own_user(prefix: &Prefix, confirmed: bool, topology: Topology) -> String {
    let mut command = format!(
        "ACL SETUSER app on >PASSWORD resetkeys ~{0}:* resetchannels &{0}:* nocommands",
        prefix.of_store()
    );
    for right in required(confirmed, topology) {
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
    fn an_example_is_the_command_on_a_key_or_a_channel_of_the_store() {
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
    fn a_user_of_its_own_is_limited_to_the_prefix_and_to_named_commands() {
        let command = own_user(&shop(), false, Topology::Single);
        assert!(command.contains(" ~shop:* "), "{command}");
        assert!(command.contains(" &shop:* "), "{command}");
        assert!(command.contains(" nocommands +time +info "), "{command}");
        assert!(!command.contains('@'), "{command}");
        assert!(!command.contains("+wait"), "{command}");
        let confirmed = own_user(&shop(), true, Topology::Single);
        assert_eq!(confirmed, format!("{command} +wait"));
        let in_a_cluster = own_user(&shop(), false, Topology::Cluster);
        assert_eq!(in_a_cluster, format!("{command} +cluster|slots +asking"));
        let watched = own_user(&shop(), false, Topology::Sentinels);
        assert_eq!(watched, format!("{command} +role"));
    }
}
