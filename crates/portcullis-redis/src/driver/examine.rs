//! Asks a server everything that shows whether sessions are safe on it. `check/` judges the
//! answers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fred::{
    prelude::{ClientLike, Error, ErrorKind, Value},
    types::{ClusterHash, CustomCommand},
};

use portcullis_core::store::RegisteredRealm;
use tokio::task::JoinSet;

use super::{
    answer::Answer,
    boxed::boxed,
    cluster,
    connection::{Connection, Reconnect},
    failure, sentinel,
    settings::Settings,
};
use crate::{
    ConnectError,
    address::Layout,
    check::{self, Fact, Facts, May, Right, Sample, Topology, UserRules, Withheld},
    endpoint::Endpoint,
    info::Info,
    layout::{Prefix, registry},
};

/// Shortest wait of a check. A server that is too slow for the wait of the application is a
/// finding, not an error.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Timeout of all questions to one server.
const LONGEST: Duration = Duration::from_secs(30);
const SAMPLES: usize = 20;
/// Pause before the last sample, in which a running clock moves.
const PAUSE: Duration = Duration::from_millis(50);

const CONFIG: [&str; 5] = [
    "appendfsync",
    "save",
    "stop-writes-on-bgsave-error",
    "min-replicas-to-write",
    "min-replicas-max-lag",
];

/// The answers of each server, and the servers that did not answer.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) servers: Vec<Facts>,
    /// The addresses of primaries of a cluster.
    pub(crate) unreachable: Vec<String>,
}

/// Connects and asks each server, whatever its settings. Writes nothing, and reads no key but the
/// registry of realms.
pub(crate) async fn examine(settings: Settings, prefix: &Prefix) -> Result<Examined, ConnectError> {
    let wait = settings.wait;
    let settings = Settings {
        wait: wait.max(SHORTEST_WAIT),
        ..settings
    };
    let (connection, settings, topology) = match settings.address.layout() {
        Layout::Cluster(seeds) => {
            return boxed(examine_all(&settings, seeds, wait, prefix)).await;
        }
        Layout::Sentinel(sentinels) => {
            let (connection, ..) = boxed(sentinel::open(&settings, sentinels)).await?;
            let named = connection.endpoint().map(|primary| settings.at(primary));
            (connection, named.unwrap_or(settings), Topology::Sentinels)
        }
        Layout::Single => {
            let (connection, ..) = Connection::open(&settings, Reconnect::ByLibrary).await?;
            (connection, settings, Topology::Single)
        }
    };
    let facts = ask_everything(&connection, &settings, topology, wait, prefix).await?;
    Ok(Examined {
        servers: vec![facts],
        unreachable: Vec::new(),
    })
}

/// Asks all primaries at once, so that their clocks can be compared.
async fn examine_all(
    settings: &Settings,
    seeds: &[Endpoint],
    wait: Duration,
    prefix: &Prefix,
) -> Result<Examined, ConnectError> {
    let view = cluster::discover(settings, seeds).await?;
    let mut asked = JoinSet::new();
    for (place, primary) in view.primaries().into_iter().enumerate() {
        let (settings, prefix) = (settings.at(&primary), prefix.clone());
        asked.spawn(async move {
            let connected = match Connection::open(&settings, Reconnect::ByLibrary).await {
                Ok((connection, ..)) => {
                    let topology = Topology::Cluster;
                    ask_everything(&connection, &settings, topology, wait, &prefix).await
                }
                Err(error) => Err(error),
            };
            (place, settings.address.to_string(), connected)
        });
    }
    let (mut servers, mut unreachable) = (Vec::new(), Vec::new());
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok((place, _, Ok(facts))) => servers.push((place, facts)),
            Ok((_, address, Err(ConnectError::Unreachable { .. }))) => unreachable.push(address),
            Ok((.., Err(error))) => return Err(error),
            Err(_) => {}
        }
    }
    servers.sort_by_key(|(place, _)| *place);
    unreachable.sort();
    Ok(Examined {
        servers: servers.into_iter().map(|(_, facts)| facts).collect(),
        unreachable,
    })
}

async fn ask_everything(
    connection: &Connection,
    settings: &Settings,
    topology: Topology,
    wait: Duration,
    prefix: &Prefix,
) -> Result<Facts, ConnectError> {
    tokio::time::timeout(
        LONGEST,
        gather(connection, settings, topology, wait, prefix),
    )
    .await
    .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer")))
    .map_err(|error| failure::connect_error(&settings.address, &error))
}

async fn gather(
    connection: &Connection,
    settings: &Settings,
    topology: Topology,
    wait: Duration,
    prefix: &Prefix,
) -> Result<Facts, Error> {
    let samples = samples(connection).await?;
    let user = user(connection).await?;
    let info = text(ask(connection, "+info", &["INFO"]).await?);
    let in_cluster = |info: &String| Info::new(info).is("cluster_enabled", "1");
    let cluster = if info.as_ref().is_ok_and(in_cluster) {
        text(ask(connection, "+cluster|info", &["CLUSTER", "INFO"]).await?)
    } else {
        Err(Withheld::Missing)
    };
    let mut config = Vec::new();
    for name in CONFIG {
        let answer = ask(connection, "+config|get", &["CONFIG", "GET", name]).await?;
        config.push((name, answer.and_then(setting)));
    }
    Ok(Facts {
        server: settings.address.to_string(),
        topology,
        prefix: prefix.clone(),
        wait,
        unsafe_eviction: settings.unsafe_eviction,
        copies: settings.copies,
        encrypted: settings.address.tls(),
        local: settings.address.is_local(),
        info,
        cluster,
        config,
        samples,
        may: rights(connection, settings, topology, &user, prefix).await?,
        own_rules: rules(connection, &user).await?,
        default_rules: rules(connection, "default").await?,
        realms: realms(connection, prefix).await?,
        user,
    })
}

/// Asks for the time again and again. The wall clock of this machine is read once: if it is set
/// meanwhile, the samples do not show it.
async fn samples(connection: &Connection) -> Result<Vec<Sample>, Error> {
    let (started, epoch) = (Instant::now(), SystemTime::now());
    let epoch = epoch.duration_since(UNIX_EPOCH).unwrap_or_default();
    let signed = |ms: u128| i64::try_from(ms).unwrap_or(i64::MAX);
    let mut samples = Vec::with_capacity(SAMPLES + 1);
    while samples.len() <= SAMPLES {
        if samples.len() == SAMPLES {
            tokio::time::sleep(PAUSE).await;
        }
        let sent = Instant::now();
        let server_ms = connection.time().await?;
        samples.push(Sample {
            sent_ms: signed((epoch + (sent - started)).as_millis()),
            round_trip: sent.elapsed(),
            server_ms: signed(server_ms.into()),
        });
    }
    Ok(samples)
}

/// The user of this connection, as the server reports it or as it logged in.
async fn user(connection: &Connection) -> Result<String, Error> {
    let answer = ask(connection, "+acl|whoami", &["ACL", "WHOAMI"]).await?;
    Ok(text(answer).unwrap_or_else(|_| {
        let config = connection.client().client_config();
        config.username.unwrap_or_else(|| "default".to_owned())
    }))
}

async fn realms(
    connection: &Connection,
    prefix: &Prefix,
) -> Result<Fact<Vec<RegisteredRealm>>, Error> {
    let answer = ask(connection, "+hgetall", &["HGETALL", &prefix.registry()]).await?;
    Ok(answer.map(|answer| registry::read_all(Answer(answer).pairs())))
}

/// Asks with `ACL DRYRUN` for each right. The server does not execute the commands.
async fn rights(
    connection: &Connection,
    settings: &Settings,
    topology: Topology,
    user: &str,
    prefix: &Prefix,
) -> Result<Fact<Vec<(&'static Right, May)>>, Error> {
    let mut all = Vec::new();
    for right in check::required(settings.copies.is_some(), topology) {
        let mut command = vec!["ACL".to_owned(), "DRYRUN".to_owned(), user.to_owned()];
        command.extend(right.example(prefix));
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let may = match send(connection, &command).await {
            Ok(answer) => may(&answer.as_string().unwrap_or_default()),
            Err(error) if error.details().starts_with("ERR Command ") => May::Unknown,
            Err(error) => match withheld(error, "+acl|dryrun") {
                Ok(withheld) => return Ok(Err(withheld)),
                Err(error) => return Err(error),
            },
        };
        all.push((right, may));
    }
    Ok(Ok(all))
}

/// Reads the answer to `ACL DRYRUN`. It is no error, and describes a refusal in words.
fn may(answer: &str) -> May {
    match answer {
        "OK" => May::Yes,
        refusal if refusal.contains("permissions to access") => May::NotKey,
        _ => May::NotCommand,
    }
}

async fn rules(connection: &Connection, user: &str) -> Result<Fact<UserRules>, Error> {
    let answer = ask(connection, "+acl|getuser", &["ACL", "GETUSER", user]).await?;
    Ok(answer.and_then(|answer| read_rules(answer).ok_or(Withheld::Missing)))
}

/// Reads the answer to `ACL GETUSER`. Ignores the hashes of passwords in it.
fn read_rules(answer: Value) -> Option<UserRules> {
    let Value::Array(items) = answer else {
        return None;
    };
    // A list of words. From version 7 on, keys and commands are one text.
    let words = |name: &str| -> Vec<String> {
        let named = items
            .iter()
            .position(|item| item.as_str().as_deref() == Some(name));
        let value = named.and_then(|at| items.get(at + 1)).cloned();
        let texts = value.map(Value::into_array).unwrap_or_default();
        texts
            .iter()
            .filter_map(Value::as_string)
            .flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    let (flags, keys, commands) = (words("flags"), words("keys"), words("commands"));
    let among = |words: &[String], any: &[&str]| words.iter().any(|word| any.contains(&&**word));
    Some(UserRules {
        enabled: among(&flags, &["on"]),
        without_password: among(&flags, &["nopass"]),
        every_key: among(&flags, &["allkeys"]) || among(&keys, &["~*", "*"]),
        // With exceptions, it is not every command. Which ones matter is not known.
        every_command: among(&flags, &["allcommands"]) || *commands == ["+@all"],
    })
}

/// The value in the answer to `CONFIG GET`. The answer is empty if the server does not have the
/// setting.
fn setting(answer: Value) -> Fact<String> {
    let value = answer.into_array().get(1).and_then(Value::as_string);
    value.ok_or(Withheld::Missing)
}

fn text(answer: Fact<Value>) -> Fact<String> {
    answer.and_then(|value| value.as_string().ok_or(Withheld::Missing))
}

async fn ask(
    connection: &Connection,
    right: &'static str,
    command: &[&str],
) -> Result<Fact<Value>, Error> {
    match send(connection, command).await {
        Ok(value) => Ok(Ok(value)),
        Err(error) => withheld(error, right).map(Err),
    }
}

/// Why a server refused to answer. Other errors are returned.
fn withheld(error: Error, right: &'static str) -> Result<Withheld, Error> {
    if failure::is_outage(&error) {
        Err(error)
    } else if failure::is(&error, "NOPERM") {
        Ok(Withheld::Forbidden(right))
    } else {
        Ok(Withheld::Missing)
    }
}

async fn send(connection: &Connection, command: &[&str]) -> Result<Value, Error> {
    let (name, arguments) = command.split_first().unwrap_or((&"", &[]));
    let name = CustomCommand::new(*name, ClusterHash::FirstKey, false);
    let arguments: Vec<Value> = arguments.iter().map(|part| Value::from(*part)).collect();
    connection.client().custom(name, arguments).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Value {
        Value::Array(items.iter().map(|item| Value::from(*item)).collect())
    }

    fn rules_with(flags: &[&str], commands: &str, keys: Value) -> Option<UserRules> {
        read_rules(Value::Array(vec![
            "flags".into(),
            list(flags),
            "passwords".into(),
            list(&["keys"]),
            "commands".into(),
            commands.into(),
            "keys".into(),
            keys,
        ]))
    }

    #[test]
    fn rules_of_a_user_are_read_in_the_form_of_every_version() {
        let open = UserRules {
            enabled: true,
            without_password: true,
            every_key: true,
            every_command: true,
        };
        let flags = ["on", "allkeys", "allcommands", "nopass"];
        assert_eq!(rules_with(&flags, "+@all", list(&["*"])), Some(open));
        let flags = ["on", "nopass"];
        assert_eq!(rules_with(&flags, "+@all", "~*".into()), Some(open));
        let limited = UserRules {
            enabled: true,
            without_password: false,
            every_key: false,
            every_command: false,
        };
        let nearly = rules_with(&["on"], "+@all -@dangerous", "~pc:*".into());
        assert_eq!(nearly, Some(limited));
        for keys in [list(&["pc:*"]), "~pc:* %R~*x".into(), list(&[])] {
            assert_eq!(
                rules_with(&["on"], "-@all +get +config|get", keys),
                Some(limited)
            );
        }
        assert_eq!(read_rules(Value::Null), None);
    }

    #[test]
    fn a_refusal_is_read_in_the_words_of_every_version() {
        for (answer, expected) in [
            ("OK", May::Yes),
            (
                "This user has no permissions to run the 'get' command",
                May::NotCommand,
            ),
            (
                "User app has no permissions to run the 'get' command",
                May::NotCommand,
            ),
            (
                "This user has no permissions to access the 'pc:{0}check' key",
                May::NotKey,
            ),
            (
                "User app has no permissions to access the 'pc:{0}check' key",
                May::NotKey,
            ),
            (
                "User app has no permissions to access the 'pc:ended' channel",
                May::NotKey,
            ),
            ("", May::NotCommand),
        ] {
            assert_eq!(may(answer), expected, "{answer}");
        }
    }
}
