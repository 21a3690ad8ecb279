//! What a server was asked, and what it answered.

use std::time::Duration;

use portcullis_core::store::RegisteredRealm;

use super::{rights::Right, topology::Topology};
use crate::{info::Info, layout::Prefix};

/// What Redis answered, or the reason why it did not.
pub(crate) type Fact<T> = Result<T, Withheld>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// The user has no right to ask. This is the missing right.
    Forbidden(&'static str),
    /// The server does not know the question, or leaves out the answer. Managed servers often do.
    Missing,
}

/// Everything that a server is judged by.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The address of the server.
    pub(crate) server: String,
    /// What the address says that the server is part of.
    pub(crate) topology: Topology,
    pub(crate) prefix: Prefix,
    pub(crate) wait: Duration,
    /// The application accepts eviction of any key.
    pub(crate) unsafe_eviction: bool,
    /// How many replicas must confirm a revocation.
    pub(crate) copies: Option<u32>,
    pub(crate) encrypted: bool,
    /// Whether the address names this machine.
    pub(crate) local: bool,
    /// The user that asks.
    pub(crate) user: String,
    pub(crate) info: Fact<String>,
    /// The text of `CLUSTER INFO`. Only a node of a cluster is asked.
    pub(crate) cluster: Fact<String>,
    /// Settings of the server, from `CONFIG GET`.
    pub(crate) config: Vec<(&'static str, Fact<String>)>,
    /// In the order in which they were taken.
    pub(crate) samples: Vec<Sample>,
    pub(crate) may: Fact<Vec<(&'static Right, May)>>,
    /// The registered realms. In a cluster only the node that has the registry answers.
    pub(crate) realms: Fact<Vec<RegisteredRealm>>,
    /// The rules of the user that asks.
    pub(crate) own_rules: Fact<UserRules>,
    /// The rules of the default user, which clients have before they log in.
    pub(crate) default_rules: Fact<UserRules>,
}

/// One question for the server's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// This machine's wall clock when it was sent, in ms.
    pub(crate) sent_ms: i64,
    pub(crate) round_trip: Duration,
    pub(crate) server_ms: i64,
}

/// Whether the user may execute a command, as `ACL DRYRUN` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    Yes,
    /// Not this command.
    NotCommand,
    /// The command, but not on our keys.
    NotKey,
    /// The server does not know the command.
    Unknown,
}

/// The rules of a user that show whether it has far too many rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserRules {
    pub(crate) enabled: bool,
    pub(crate) without_password: bool,
    pub(crate) every_key: bool,
    pub(crate) every_command: bool,
}

impl Facts {
    pub(super) fn info(&self) -> Fact<Info<'_>> {
        self.info.as_deref().map(Info::new).map_err(|why| *why)
    }

    /// A line of `INFO`.
    pub(super) fn value(&self, name: &str) -> Fact<&str> {
        self.info()?.get(name).ok_or(Withheld::Missing)
    }

    /// A line of `INFO` with a number.
    pub(super) fn number(&self, name: &str) -> Fact<u64> {
        self.info()?.number(name).ok_or(Withheld::Missing)
    }

    /// A setting of the server.
    pub(super) fn config(&self, name: &str) -> Fact<&str> {
        let setting = self.config.iter().find(|(config, _)| *config == name);
        match setting {
            Some((_, Ok(value))) => Ok(value),
            Some((_, Err(withheld))) => Err(*withheld),
            None => Err(Withheld::Missing),
        }
    }
}

/// A healthy server, for tests to change.
#[cfg(test)]
pub(super) fn healthy() -> Facts {
    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\
        # Memory\r\nused_memory:10485760\r\ntotal_system_memory:1073741824\r\n\
        maxmemory:104857600\r\nmaxmemory_policy:noeviction\r\nmem_not_counted_for_evict:0\r\n\
        # Persistence\r\nloading:0\r\nrdb_changes_since_last_save:12\r\nrdb_last_bgsave_status:ok\r\n\
        aof_enabled:1\r\naof_last_bgrewrite_status:ok\r\naof_last_write_status:ok\r\n\
        # Stats\r\nevicted_keys:0\r\n\
        # Replication\r\nrole:master\r\nconnected_slaves:1\r\nmin_slaves_good_slaves:1\r\n\
        slave0:ip=10.0.0.2,port=6379,state=online,offset=880,lag=0\r\nmaster_repl_offset:1000\r\n\
        # Cluster\r\ncluster_enabled:0\r\n";
    let limited = UserRules {
        enabled: true,
        without_password: false,
        every_key: false,
        every_command: false,
    };
    Facts {
        server: "10.0.0.1:6379".into(),
        topology: Topology::Single,
        prefix: Prefix::new("pc".into()).unwrap(),
        wait: Duration::from_millis(250),
        unsafe_eviction: false,
        copies: None,
        encrypted: true,
        local: false,
        user: "app".into(),
        info: Ok(INFO.into()),
        cluster: Err(Withheld::Missing),
        config: [
            ("appendfsync", "everysec"),
            ("save", ""),
            ("stop-writes-on-bgsave-error", "yes"),
            ("min-replicas-to-write", "1"),
            ("min-replicas-max-lag", "10"),
        ]
        .map(|(name, value)| (name, Ok(value.into())))
        .into(),
        samples: (0..21)
            .map(|number| Sample {
                sent_ms: 1_800_000_000_000 + 10 * number,
                round_trip: Duration::from_millis(2),
                server_ms: 1_800_000_000_001 + 10 * number,
            })
            .collect(),
        may: Ok(super::rights::required(false, Topology::Single)
            .map(|right| (right, May::Yes))
            .collect()),
        realms: Ok(Vec::new()),
        own_rules: Ok(limited),
        default_rules: Ok(UserRules {
            enabled: false,
            ..limited
        }),
    }
}

#[cfg(test)]
impl Facts {
    /// Replaces or adds lines of `INFO`.
    pub(super) fn with(mut self, lines: &[(&str, &str)]) -> Self {
        let mut info = self.info.unwrap_or_default();
        for (name, value) in lines {
            let start = format!("{name}:");
            info = info
                .lines()
                .filter(|line| !line.starts_with(&start))
                .chain([format!("{name}:{value}").as_str()])
                .collect::<Vec<_>>()
                .join("\r\n");
        }
        self.info = Ok(info);
        self
    }

    /// Removes lines of `INFO`.
    pub(super) fn without(mut self, names: &[&str]) -> Self {
        let left_out = |line: &&str| !names.iter().any(|name| line.starts_with(name));
        let info = self.info.unwrap_or_default();
        self.info = Ok(info
            .lines()
            .filter(left_out)
            .collect::<Vec<_>>()
            .join("\r\n"));
        self
    }

    /// Changes a setting.
    pub(super) fn set(mut self, name: &'static str, value: Fact<&str>) -> Self {
        self.config.retain(|(config, _)| *config != name);
        self.config.push((name, value.map(str::to_owned)));
        self
    }
}
