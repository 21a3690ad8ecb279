//! Asks a server everything that tells whether sessions are safe on it. `check/` judges the answers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fred::{
    prelude::{ClientLike, Error, ErrorKind, Value},
    types::{ClusterHash, CustomCommand},
};

use portcullis_core::store::RegisteredRealm;
use tokio::task::JoinSet;

use super::{
    Answer, Settings, boxed, cluster,
    connection::{Connection, Restored},
    failure, sentinel,
};
use crate::{
    ConnectError,
    address::Layout,
    check::{Fact, Facts, May, PartOf, Sample, UserRules, Withheld},
    endpoint::Endpoint,
    info::Info,
    keys::Prefix,
    realms,
    rights::{self, Right},
};

/// A server that is too slow for the application's wait is to be told of, so it is given more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);
/// For everything together.
const ENOUGH: Duration = Duration::from_secs(30);
const SAMPLES: usize = 20;
/// Before one more sample: in this time a clock that runs has moved.
const PAUSE: Duration = Duration::from_millis(50);

const CONFIG: [&str; 5] = [
    "appendfsync",
    "save",
    "stop-writes-on-bgsave-error",
    "min-replicas-to-write",
    "min-replicas-max-lag",
];

/// What was asked of each server, and which were not there to be asked.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) servers: Vec<Facts>,
    /// Primaries of a cluster, by their addresses.
    pub(crate) unreachable: Vec<String>,
}

/// Connects, whatever the settings of the servers, and asks each. Writes nothing and reads the registry of realms only.
pub(crate) async fn examine(settings: Settings, prefix: &Prefix) -> Result<Examined, ConnectError> {
    let wait = settings.wait;
    let patient = Settings {
        wait: wait.max(GIVE_UP_AFTER),
        ..settings
    };
    let (connection, settings, part_of) = match patient.address.layout() {
        Layout::Cluster(seeds) => {
            return boxed(examine_all(&patient, seeds, wait, prefix)).await;
        }
        Layout::Sentinel(sentinels) => {
            let (connection, ..) = boxed(sentinel::open(&patient, sentinels)).await?;
            let named = connection.endpoint().map(|primary| patient.at(primary));
            (connection, named.unwrap_or(patient), PartOf::Sentinels)
        }
        Layout::Single => {
            let (connection, ..) = Connection::open(&patient, Restored::ByItself).await?;
            (connection, patient, PartOf::Nothing)
        }
    };
    let facts = ask_everything(&connection, &settings, part_of, wait, prefix).await?;
    Ok(Examined {
        servers: vec![facts],
        unreachable: Vec::new(),
    })
}

/// All primaries at once, so that their clocks can be compared.
async fn examine_all(
    settings: &Settings,
    seeds: &[Endpoint],
    wait: Duration,
    prefix: &Prefix,
) -> Result<Examined, ConnectError> {
    let view = cluster::look(settings, seeds).await?;
    let mut asked = JoinSet::new();
    for (place, primary) in view.primaries().into_iter().enumerate() {
        let (settings, prefix) = (settings.at(&primary), prefix.clone());
        asked.spawn(async move {
            let connected = match Connection::open(&settings, Restored::ByItself).await {
                Ok((connection, ..)) => {
                    let part_of = PartOf::Cluster;
                    ask_everything(&connection, &settings, part_of, wait, &prefix).await
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
    part_of: PartOf,
    wait: Duration,
    prefix: &Prefix,
) -> Result<Facts, ConnectError> {
    tokio::time::timeout(ENOUGH, gather(connection, settings, part_of, wait, prefix))
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer")))
        .map_err(|error| failure::connect_error(&settings.address, &error))
}

async fn gather(
    connection: &Connection,
    settings: &Settings,
    part_of: PartOf,
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
        let told = ask(connection, "+config|get", &["CONFIG", "GET", name]).await?;
        config.push((name, told.and_then(setting)));
    }
    Ok(Facts {
        server: settings.address.to_string(),
        part_of,
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
        may: rights(connection, settings, part_of, &user, prefix).await?,
        own_rules: rules(connection, &user).await?,
        default_rules: rules(connection, "default").await?,
        realms: realms(connection, prefix).await?,
        user,
    })
}

/// The wall clock is read once: should it be set meanwhile, the server is not to blame.
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

/// Who the server takes this for, or else as whom it logged in.
async fn user(connection: &Connection) -> Result<String, Error> {
    let told = ask(connection, "+acl|whoami", &["ACL", "WHOAMI"]).await?;
    Ok(text(told).unwrap_or_else(|_| {
        let config = connection.client().client_config();
        config.username.unwrap_or_else(|| "default".to_owned())
    }))
}

async fn realms(
    connection: &Connection,
    prefix: &Prefix,
) -> Result<Fact<Vec<RegisteredRealm>>, Error> {
    let told = ask(connection, "+hgetall", &["HGETALL", &prefix.registry()]).await?;
    Ok(told.map(|told| realms::read_all(Answer(told).pairs())))
}

/// Has the server say whether it would, without doing it.
async fn rights(
    connection: &Connection,
    settings: &Settings,
    part_of: PartOf,
    user: &str,
    prefix: &Prefix,
) -> Result<Fact<Vec<(&'static Right, May)>>, Error> {
    let mut told = Vec::new();
    for right in rights::asked_for(settings.copies.is_some(), part_of) {
        let mut command = vec!["ACL".to_owned(), "DRYRUN".to_owned(), user.to_owned()];
        command.extend(right.example(prefix));
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let may = match send(connection, &command).await {
            Ok(answer) => may(&answer.as_string().unwrap_or_default()),
            Err(error) if error.details().starts_with("ERR Command ") => May::Unheard,
            Err(error) => match withheld(error, "+acl|dryrun") {
                Ok(withheld) => return Ok(Err(withheld)),
                Err(error) => return Err(error),
            },
        };
        told.push((right, may));
    }
    Ok(Ok(told))
}

/// A refusal is an answer here and no error. It says in words of what.
fn may(answer: &str) -> May {
    match answer {
        "OK" => May::Yes,
        refusal if refusal.contains("permissions to access") => May::NotKey,
        _ => May::NotCommand,
    }
}

async fn rules(connection: &Connection, user: &str) -> Result<Fact<UserRules>, Error> {
    let told = ask(connection, "+acl|getuser", &["ACL", "GETUSER", user]).await?;
    Ok(told.and_then(|told| read_rules(told).ok_or(Withheld::Missing)))
}

/// Hashes of passwords are in it too; they are left where they are.
fn read_rules(told: Value) -> Option<UserRules> {
    let Value::Array(items) = told else {
        return None;
    };
    // A list of words, or, of keys and commands and from version 7 on, the words in one text.
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
        // Where some are taken away, it is not every one, and nobody knows which count.
        every_command: among(&flags, &["allcommands"]) || *commands == ["+@all"],
    })
}

/// The second half of what `CONFIG GET` answers. Nothing is there if the server does not have the setting.
fn setting(told: Value) -> Fact<String> {
    let value = told.into_array().get(1).and_then(Value::as_string);
    value.ok_or(Withheld::Missing)
}

fn text(told: Fact<Value>) -> Fact<String> {
    told.and_then(|value| value.as_string().ok_or(Withheld::Missing))
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

/// A server that refuses has answered; any other error is one.
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

    fn told(flags: &[&str], commands: &str, keys: Value) -> Option<UserRules> {
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
    fn rules_of_a_user_are_understood_as_every_version_tells_them() {
        let open = UserRules {
            enabled: true,
            without_password: true,
            every_key: true,
            every_command: true,
        };
        let flags = ["on", "allkeys", "allcommands", "nopass"];
        assert_eq!(told(&flags, "+@all", list(&["*"])), Some(open));
        let flags = ["on", "nopass"];
        assert_eq!(told(&flags, "+@all", "~*".into()), Some(open));
        let bounded = UserRules {
            enabled: true,
            without_password: false,
            every_key: false,
            every_command: false,
        };
        let nearly = told(&["on"], "+@all -@dangerous", "~pc:*".into());
        assert_eq!(nearly, Some(bounded));
        for keys in [list(&["pc:*"]), "~pc:* %R~*x".into(), list(&[])] {
            assert_eq!(told(&["on"], "-@all +get +config|get", keys), Some(bounded));
        }
        assert_eq!(read_rules(Value::Null), None);
    }

    #[test]
    fn what_is_refused_is_understood_as_every_version_words_it() {
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
