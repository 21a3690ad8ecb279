//! Results as JSON. The README has a table of the fields.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis::{
    UserId,
    audit::Logged,
    client::Client,
    session::{SessionEntry, Timestamp},
};
use serde::Serialize;

use crate::{
    exit::Failure,
    moment::rfc3339,
    realms::ClassNames,
    text::{hex, is_invisible},
};

/// One document.
pub(crate) fn document(value: &impl Serialize) -> Result<String, Failure> {
    with_newline(serde_json::to_string_pretty(value))
}

/// One line.
pub(crate) fn line(value: &impl Serialize) -> Result<String, Failure> {
    with_newline(serde_json::to_string(value))
}

fn with_newline(written: serde_json::Result<String>) -> Result<String, Failure> {
    let mut text =
        written.map_err(|error| Failure::Output(format!("the result has no JSON: {error}")))?;
    text.push('\n');
    Ok(ascii_where_unsafe(&text))
}

/// JSON escapes the characters below a space. A terminal also obeys some of those above.
fn ascii_where_unsafe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if is_invisible(character) || (character >= '\u{7f}' && character.is_control()) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// A document with its realm.
#[derive(Debug, Serialize)]
pub(crate) struct InRealm<'r, T> {
    pub(crate) realm: &'r str,
    #[serde(flatten)]
    pub(crate) document: T,
}

/// A user: a string, or bytes in base64url if it is no string.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum User<'u> {
    Text(&'u str),
    Bytes { bytes: String },
    Hex(String),
}

impl User<'_> {
    pub(crate) fn in_hex(user: &UserId) -> Self {
        Self::Hex(hex(user))
    }
}

impl<'u> From<&'u UserId> for User<'u> {
    fn from(user: &'u UserId) -> Self {
        match user.as_str() {
            Some(text) => Self::Text(text),
            None => Self::Bytes {
                bytes: BASE64_URL_SAFE_NO_PAD.encode(user.as_bytes()),
            },
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ClientJson {
    name: String,
    network: Option<String>,
    address: Option<String>,
}

impl From<&Client> for ClientJson {
    fn from(client: &Client) -> Self {
        Self {
            name: client.name().to_string(),
            network: client.network().map(|network| network.to_string()),
            address: client.address().map(|address| address.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct SessionJson<'e> {
    handle: String,
    user: Option<User<'e>>,
    class: Option<String>,
    created_at: String,
    last_active_at: String,
    authenticated_at: Option<String>,
    idle_deadline: String,
    absolute_deadline: String,
    elevated_until: Option<String>,
    remembered: bool,
    client: Option<ClientJson>,
    flagged: Option<&'static str>,
}

impl<'e> SessionJson<'e> {
    pub(crate) fn new(entry: &'e SessionEntry, classes: &ClassNames) -> Self {
        let info = &entry.info;
        Self {
            handle: info.handle.to_string(),
            user: entry.user.as_ref().map(User::from),
            class: classes.name(info.class),
            created_at: rfc3339(info.created_at),
            last_active_at: rfc3339(info.last_active_at),
            authenticated_at: info.authenticated_at.map(rfc3339),
            idle_deadline: rfc3339(info.idle_deadline),
            absolute_deadline: rfc3339(info.absolute_deadline),
            elevated_until: entry.elevated_until.map(rfc3339),
            remembered: info.remembered,
            client: entry.client.as_ref().map(ClientJson::from),
            flagged: entry.flagged.map(|change| change.as_str()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Sessions<'e> {
    now: String,
    sessions: Vec<SessionJson<'e>>,
}

impl<'e> Sessions<'e> {
    pub(crate) fn new(now: Timestamp, classes: &ClassNames, sessions: &'e [SessionEntry]) -> Self {
        let sessions = sessions.iter();
        Self {
            now: rfc3339(now),
            sessions: sessions
                .map(|entry| SessionJson::new(entry, classes))
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct EventJson<'l> {
    place: String,
    at: String,
    count: u64,
    first_at: String,
    event: Option<&'l str>,
    detail: Option<&'l str>,
    session: Option<String>,
    user: Option<User<'l>>,
    actor: Option<&'l str>,
    operator: Option<&'l str>,
    client: Option<ClientJson>,
}

impl<'l> From<&'l Logged> for EventJson<'l> {
    fn from(logged: &'l Logged) -> Self {
        let event = logged.event.as_ref();
        Self {
            place: logged.place.to_string(),
            at: rfc3339(event.map_or(logged.place.written_at, |event| event.at)),
            count: logged.count,
            first_at: rfc3339(logged.first_at),
            event: event.map(|event| event.kind.as_str()),
            detail: event.and_then(|event| event.kind.detail()),
            session: event.and_then(|event| Some(event.session?.to_string())),
            user: event.and_then(|event| event.user.as_ref().map(User::from)),
            actor: event.map(|event| event.actor.as_str()),
            operator: event.and_then(|event| event.actor.operator()),
            client: event.and_then(|event| event.client.as_ref().map(ClientJson::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_string_or_its_bytes() {
        for (user, json) in [
            (UserId::from("alice"), "\"alice\"\n"),
            (UserId::from(&b"\xff\x00"[..]), "{\"bytes\":\"_wA\"}\n"),
            (
                UserId::from("\u{9b}\u{202e}\x1b"),
                "\"\\u009b\\u202e\\u001b\"\n",
            ),
            (UserId::from("\u{e0001}"), "\"\\udb40\\udc01\"\n"),
            (UserId::from("東京"), "\"東京\"\n"),
        ] {
            assert_eq!(line(&User::from(&user)).unwrap(), json);
        }
    }

    #[test]
    fn escaped_text_is_read_back_unchanged() {
        let text = "a\u{7f}\u{85}\u{9b}\u{200d}\u{feff}\u{e0041}\r\n\"\\";
        let json = line(&text).unwrap();
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
