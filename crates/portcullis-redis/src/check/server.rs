//! Judges the version of the server, and what it is part of.

use super::{
    facts::{Fact, Facts},
    finding::Ruling,
    topology::Topology,
};
use crate::info::Info;

/// How many slots a cluster has.
const SLOTS: u64 = 16384;

pub(super) fn version(facts: &Facts) -> Fact<Ruling> {
    let info = facts.info()?;
    let version = facts.value("redis_version")?;
    let name = match (info.get("valkey_version"), info.get("server_name")) {
        (Some(valkey), _) => format!("Valkey {valkey}, compatible with Redis {version}"),
        (None, Some(name)) if !name.eq_ignore_ascii_case("redis") => {
            format!("{name}, compatible with Redis {version}")
        }
        _ => format!("Redis {version}"),
    };
    Ok(match info.too_old() {
        Some(_) => Ruling::broken(
            format!("{name} is too old: the oldest supported version is 6.2"),
            "upgrade it to Redis 6.2 or later, or to Valkey",
        ),
        None => Ruling::fine(name),
    })
}

pub(super) fn mode(facts: &Facts) -> Fact<Ruling> {
    let info = facts.info()?;
    // Valkey has a name of its own for it.
    let mode = facts.value("redis_mode");
    let mode = mode.or_else(|_| facts.value("server_mode"))?;
    if mode == "cluster" || info.is("cluster_enabled", "1") {
        return Ok(cluster(facts));
    }
    Ok(match mode {
        "standalone" if facts.topology == Topology::Sentinels => {
            Ruling::fine("a single server, the one that the Sentinels name")
        }
        "standalone" => Ruling::fine("a single server, not a node of a cluster"),
        other => Ruling::broken(
            format!("it runs as {other:?}, which cannot store sessions"),
            "use the address of the primary itself, or redis-sentinel:// with the name of the service",
        ),
    })
}

/// Judges whether all slots are served, and whether commands reach them.
fn cluster(facts: &Facts) -> Ruling {
    let info = match &facts.cluster {
        Ok(text) => Info::new(text),
        Err(withheld) => {
            return Ruling::withheld(
                "a node of a cluster; it is not known whether the cluster serves all slots",
                *withheld,
                facts,
            );
        }
    };
    const REMEDY: &str = "use an address with redis-cluster:// instead of redis://";
    let number = |name| info.number(name).unwrap_or(0);
    let (nodes, slots) = (number("cluster_size"), number("cluster_slots_ok"));
    let by_itself = facts.topology != Topology::Cluster;
    if by_itself && nodes > 1 {
        return Ruling::broken(
            format!(
                "a node of a cluster of {nodes} primaries: sessions on the other nodes cannot be reached"
            ),
            REMEDY,
        );
    }
    if slots < SLOTS || !info.is("cluster_state", "ok") {
        let state = info.get("cluster_state").unwrap_or("unknown");
        return Ruling::broken(
            format!(
                "a node of a cluster whose state is {state}: {slots} of {SLOTS} slots are served"
            ),
            "repair the cluster (CLUSTER INFO, CLUSTER NODES)",
        );
    }
    match (by_itself, nodes) {
        (true, _) => Ruling::warning(
            format!(
                "a cluster whose only primary has all {SLOTS} slots: it works until a slot is moved to \
                 another node"
            ),
            REMEDY,
        ),
        (false, 1) => Ruling::fine(format!(
            "a cluster whose only primary has all {SLOTS} slots"
        )),
        (false, nodes) => Ruling::fine(format!(
            "a cluster of {nodes} primaries that serves all {SLOTS} slots; each primary was checked"
        )),
    }
}

pub(super) fn role(facts: &Facts) -> Fact<Ruling> {
    Ok(match facts.value("role")? {
        "master" => Ruling::fine("the primary"),
        _ => {
            let link = facts.value("master_link_status").unwrap_or("unknown");
            Ruling::broken(
                format!("a replica, which accepts no writes (its link to the primary is {link})"),
                format!("use the address of the primary{}", primary(facts)),
            )
        }
    })
}

/// The address of the primary, as a replica reports it.
pub(super) fn primary(facts: &Facts) -> String {
    match (facts.value("master_host"), facts.value("master_port")) {
        (Ok(host), Ok(port)) => format!(", {host} port {port}"),
        _ => String::new(),
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
            .about(Subject::Mode)
    }

    #[test]
    fn a_server_is_named_by_its_own_name() {
        let message = |lines: &[(&str, &str)]| found(version, &healthy().with(lines)).message;
        assert_eq!(message(&[]), "Redis 7.0.15");
        assert_eq!(
            message(&[
                ("redis_version", "7.2.4"),
                ("server_name", "valkey"),
                ("valkey_version", "8.1.1")
            ]),
            "Valkey 8.1.1, compatible with Redis 7.2.4"
        );
        assert_eq!(
            message(&[("server_name", "other")]),
            "other, compatible with Redis 7.0.15"
        );
    }

    #[test]
    fn a_server_that_is_too_old_is_broken() {
        let old = found(version, &healthy().with(&[("redis_version", "6.0.16")]));
        assert_eq!(old.verdict, Verdict::Broken);
        assert!(old.message.contains("6.0.16"), "{}", old.message);
    }

    #[test]
    fn the_field_of_valkey_for_the_mode_is_read() {
        let facts = healthy().without(&["redis_mode"]);
        assert_eq!(mode(&facts).err(), Some(Withheld::Missing));
        let facts = facts.with(&[("server_mode", "standalone")]);
        assert_eq!(found(mode, &facts).verdict, Verdict::Fine);
    }

    #[test]
    fn a_sentinel_is_broken() {
        let sentinel = found(mode, &healthy().with(&[("redis_mode", "sentinel")]));
        assert_eq!(sentinel.verdict, Verdict::Broken);
    }

    fn in_a_cluster(topology: Topology, cluster: Fact<&str>) -> Verdict {
        let mut facts = healthy().with(&[("redis_mode", "cluster"), ("cluster_enabled", "1")]);
        facts.topology = topology;
        facts.cluster = cluster.map(str::to_owned);
        found(mode, &facts).verdict
    }

    fn info(state: &str, slots: u32, nodes: u32) -> String {
        format!("cluster_state:{state}\r\ncluster_slots_ok:{slots}\r\ncluster_size:{nodes}\r\n")
    }

    #[test]
    fn a_node_by_itself_is_a_warning_with_all_slots_and_broken_without() {
        let verdict = |cluster: Fact<&str>| in_a_cluster(Topology::Single, cluster);
        assert_eq!(verdict(Ok(&info("ok", 16384, 1))), Verdict::Warning);
        assert_eq!(verdict(Ok(&info("ok", 16384, 3))), Verdict::Broken);
        assert_eq!(verdict(Ok(&info("fail", 16384, 1))), Verdict::Broken);
        assert_eq!(verdict(Ok(&info("ok", 16000, 1))), Verdict::Broken);
        assert_eq!(verdict(Ok("")), Verdict::Broken);
        let forbidden = Withheld::Forbidden("+cluster|info");
        assert_eq!(verdict(Err(forbidden)), Verdict::Unknown);
    }

    #[test]
    fn a_cluster_is_fine_if_it_serves_all_slots() {
        let verdict = |cluster: &str| in_a_cluster(Topology::Cluster, Ok(cluster));
        assert_eq!(verdict(&info("ok", 16384, 1)), Verdict::Fine);
        assert_eq!(verdict(&info("ok", 16384, 3)), Verdict::Fine);
        assert_eq!(verdict(&info("fail", 16384, 3)), Verdict::Broken);
        assert_eq!(verdict(&info("ok", 16000, 3)), Verdict::Broken);
    }

    #[test]
    fn a_replica_is_broken_and_its_primary_is_named() {
        let replica = found(
            role,
            &healthy().with(&[
                ("role", "slave"),
                ("master_host", "10.0.0.1"),
                ("master_port", "6380"),
                ("master_link_status", "up"),
            ]),
        );
        assert_eq!(replica.verdict, Verdict::Broken);
        assert!(replica.message.contains("is up"), "{}", replica.message);
        assert!(replica.remedy.unwrap().ends_with("10.0.0.1 port 6380"));
    }
}
