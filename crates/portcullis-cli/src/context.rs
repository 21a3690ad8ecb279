//! The sessions that a command works on.

use std::{fs, num::NonZeroU32, time::Duration};

use portcullis::{
    RedisStore, Sessions, UserId,
    audit::{LogQuery, Logged},
    session::Timestamp,
    settings::Realm,
    store::Store,
};
use portcullis_redis::RedisStoreBuilder;
use serde::Serialize;

use crate::{
    args::{Connection, OutputOptions},
    exit::Failure,
    json::{self, InRealm},
    moment::Clock,
    realms::{ClassNames, Selected, Selection},
    screen::print_message,
    text::{self, Ink, Pen},
};

/// An operator can be further away than the application, and may wait longer than a request.
const WAIT: Duration = Duration::from_secs(3);

/// A realm of a connected store, with the options of the command.
pub(crate) struct Context {
    /// Of this realm.
    pub(crate) store: RedisStore,
    pub(crate) sessions: Sessions,
    output: OutputOptions,
    prefix: String,
    selected: Selected,
    /// No realm was named, and none is registered.
    is_unknown: bool,
    /// The command is for each registered realm.
    is_one_of_all: bool,
}

impl Context {
    /// One for each realm that the command is for, in order of name: never none.
    pub(crate) async fn open(
        connection: &Connection,
        output: OutputOptions,
    ) -> Result<Vec<Self>, Failure> {
        Self::with(builder(connection)?, connection, output).await
    }

    /// The same, where revocations wait for this many replicas.
    pub(crate) async fn confirming(
        connection: &Connection,
        output: OutputOptions,
        replicas: Option<NonZeroU32>,
    ) -> Result<Vec<Self>, Failure> {
        let builder = builder(connection)?;
        let builder = match replicas {
            Some(replicas) => builder.confirm_by_replicas(replicas.get()),
            None => builder,
        };
        Self::with(builder, connection, output).await
    }

    async fn with(
        builder: RedisStoreBuilder,
        connection: &Connection,
        output: OutputOptions,
    ) -> Result<Vec<Self>, Failure> {
        let (selection, prefix) = (Selection::of(connection)?, connection.prefix()?);
        let store = connect(builder).await?;
        let selected = selection.resolve(&store).await?;
        let context = |selected: Selected| {
            let store = store.in_realm(&selected.realm);
            Self {
                sessions: Sessions::new(store.clone()),
                store,
                output,
                prefix: prefix.clone(),
                is_unknown: selection == Selection::Sole && selected.cookie.is_none(),
                selected,
                is_one_of_all: selection == Selection::All,
            }
        };
        Ok(selected.into_iter().map(context).collect())
    }

    pub(crate) fn realm(&self) -> &Realm {
        &self.selected.realm
    }

    /// The names of the classes of the realm.
    pub(crate) fn classes(&self) -> &ClassNames {
        &self.selected.classes
    }

    /// Whether the command is for each registered realm, were it only one.
    pub(crate) fn is_one_of_all(&self) -> bool {
        self.is_one_of_all
    }

    /// The heading above the results of a realm. None with --json.
    pub(crate) fn heading(&self, pen: Pen) -> Option<String> {
        if !self.is_one_of_all || self.output.json {
            return None;
        }
        let about = match &self.selected.cookie {
            Some(cookie) => format!("cookie {}", text::word(cookie.as_bytes())),
            None => "not registered".to_owned(),
        };
        let heading = format!("realm {} ({about})", self.realm());
        Some(pen.write(Ink::Bold, &heading))
    }

    /// A message, which names the realm where there can be several.
    pub(crate) fn print_message(&self, message: &str) {
        if self.is_one_of_all {
            print_message(&format!("realm {}: {message}", self.realm()));
        } else {
            print_message(message);
        }
    }

    /// A hint that nothing was found. If no layer has registered the realm either, the prefix or
    /// the address may be wrong.
    pub(crate) fn hint_at_prefix(&self) {
        if self.is_unknown {
            self.print_message(&format!(
                "no application has registered a realm under the prefix {} at this address; check --prefix \
                 and --redis-url",
                text::word(self.prefix.as_bytes())
            ));
        }
    }

    /// A hint that nothing was found of this user.
    pub(crate) async fn hint_at_user(&self, user: &UserId) -> Result<(), Failure> {
        if self.is_unknown {
            self.hint_at_prefix();
            return Ok(());
        }
        let query = LogQuery {
            user: Some(user.clone()),
            most: 1,
            ..LogQuery::default()
        };
        if self.sessions.history(query).await?.is_empty() {
            self.print_message(&format!(
                "the log has no event of {} either; check the name (see `portcullis users`)",
                text::user(user)
            ));
        }
        Ok(())
    }

    /// A result as JSON: a document, or a line if another result may follow.
    pub(crate) fn document(&self, document: &impl Serialize) -> Result<String, Failure> {
        if self.is_one_of_all {
            self.line(document)
        } else {
            json::document(&self.in_realm(document))
        }
    }

    /// One of several results as a line of JSON.
    pub(crate) fn line(&self, document: &impl Serialize) -> Result<String, Failure> {
        json::line(&self.in_realm(document))
    }

    fn in_realm<T>(&self, document: T) -> InRealm<'_, T> {
        InRealm {
            realm: self.realm().as_str(),
            document,
        }
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.store.now()
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock {
            now: self.now(),
            utc: self.output.utc,
        }
    }

    /// The newest `most` events that match the query and `is_wanted`, newest first. A query does
    /// not have all filters, so if the first events are not enough, all are read.
    pub(crate) async fn newest(
        &self,
        query: &LogQuery,
        most: usize,
        is_wanted: impl Fn(&Logged) -> bool,
    ) -> Result<Vec<Logged>, Failure> {
        let mut wanted = Vec::new();
        for read in [most, most.saturating_mul(20), usize::MAX] {
            let query = LogQuery {
                most: read,
                ..query.clone()
            };
            wanted = self.sessions.history(query).await?;
            let is_all = wanted.len() < read;
            wanted.retain(&is_wanted);
            if is_all || wanted.len() >= most {
                break;
            }
        }
        wanted.truncate(most);
        Ok(wanted)
    }
}

/// `check` reports eviction. If an application runs with it all the same, its sessions can be
/// ended.
pub(crate) async fn connect(builder: RedisStoreBuilder) -> Result<RedisStore, Failure> {
    let builder = builder.wait(WAIT).allow_unsafe_eviction();
    Ok(builder.connect().await?)
}

pub(crate) fn builder(connection: &Connection) -> Result<RedisStoreBuilder, Failure> {
    let builder = RedisStore::builder(connection.redis_url()?).key_prefix(connection.prefix()?);
    let Some(file) = &connection.ca_certificate else {
        return Ok(builder);
    };
    let pem = fs::read(file).map_err(|error| {
        let file = text::shown(&file.to_string_lossy());
        Failure::Usage(format!("the certificate in {file} cannot be read: {error}"))
    })?;
    Ok(builder.ca_certificate_pem(pem))
}
