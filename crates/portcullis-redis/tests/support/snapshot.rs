//! Everything that is stored, at one moment, and what must be true of it at any moment.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code
)]

use std::collections::BTreeMap;

use base64::Engine;
use portcullis_core::{SessionIdHash, SessionMeta, UserIdHash};
use portcullis_redis::testing::{Answer, TestServer};

use super::spelled;

/// In one step, so that nothing happens in between.
const TAKE: &str = "
local time = redis.call('TIME')
local all = {{'now', tostring(time[1] * 1000 + math.floor(time[2] / 1000))}}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  if kind == 'string' then
    all[#all + 1] = {key, redis.call('GET', key)}
  elseif kind == 'zset' then
    all[#all + 1] = {key, redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')}
  end
end
return all";

/// The members of a list, each with when it is due.
type List = BTreeMap<Vec<u8>, u64>;

#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub records: BTreeMap<String, Vec<u8>>,
    pub lists: BTreeMap<String, List>,
}

/// The header of a live session: the documentation of the format, written a second time.
struct Header {
    due: u64,
    absolute: Vec<u8>,
}

impl Header {
    fn of(record: &[u8]) -> Option<Self> {
        let hex = |from: usize, to: usize| {
            let digits = std::str::from_utf8(&record[from..to]).unwrap();
            u64::from_str_radix(digits, 16).unwrap()
        };
        (record[0] == b'1').then(|| Self {
            due: hex(1, 12).min(hex(21, 32) + hex(12, 21)),
            absolute: record[1..12].into(),
        })
    }
}

impl Snapshot {
    /// And the server's time, in ms.
    pub fn take(server: &TestServer) -> (Self, u64) {
        let Answer::List(items) = server.cli(&["EVAL", TAKE, "0"]) else {
            panic!("nothing is reported")
        };
        let (mut records, mut lists, mut now) = (BTreeMap::new(), BTreeMap::new(), 0);
        for item in items {
            let Answer::List(pair) = item else {
                panic!("{item:?}")
            };
            let name = pair[0].text();
            match &pair[1] {
                Answer::Bytes(_) if name == "now" => now = pair[1].text().parse().unwrap(),
                Answer::Bytes(value) => drop(records.insert(name, value.clone())),
                Answer::List(scored) => {
                    let members = scored.chunks(2).map(|member| match &member[0] {
                        Answer::Bytes(bytes) => (bytes.clone(), member[1].text().parse().unwrap()),
                        other => panic!("{other:?}"),
                    });
                    lists.insert(name, members.collect());
                }
                other => panic!("{other:?}"),
            }
        }
        (Self { records, lists }, now)
    }

    /// The keys under which a session is live.
    pub fn live(&self) -> impl Iterator<Item = &String> {
        let sessions = self.records.iter().filter(|(key, _)| !key.contains("}:"));
        sessions.filter_map(|(key, value)| Header::of(value).map(|_| key))
    }

    /// How many members the lists of buckets (`x`) or of users (`u`) have together.
    pub fn listed(&self, kind: &str) -> usize {
        let kind = format!("}}:{kind}");
        let lists = self.lists.iter().filter(|(key, _)| key.contains(&kind));
        lists.map(|(_, list)| list.len()).sum()
    }

    /// Each live session is in the lists it belongs to, once, at the moment at which it is due; and lists have
    /// nothing else but expired sessions that wait to be reported.
    pub fn assert_consistent(&self, now: u64, known: &[(SessionIdHash, SessionMeta)]) {
        let mut lists = self.lists.clone();
        let mut take = |list: String, member: &[u8]| {
            let members = lists.get_mut(&list)?;
            members.remove(member)
        };
        for (key, meta) in known {
            let record = self.records.get(&spelled(key));
            let Some(header) = record.and_then(|record| Header::of(record)) else {
                continue;
            };
            let bucket = format!("pc:id:{{{:x}}}", key.bucket().number());
            let reference = [b"l0", &key.digest()[..], meta.handle.as_bytes()].concat();
            let user = meta.user().map_or(&[][..], |user| user.as_bytes());
            let rest = [&reference[..], &header.absolute, user].concat();
            let listed = take(format!("{bucket}:x"), &[b"s", &rest[..]].concat());
            assert_eq!(
                listed,
                Some(header.due),
                "{key:?} in the list of its bucket"
            );
            // Of a session that lives there may be an elevation that has ended or will.
            take(format!("{bucket}:x"), &[b"e", &rest[..]].concat());
            if let Some(user) = meta.user() {
                let listed = take(user_list(&UserIdHash::of(user)), &reference);
                assert_eq!(listed, Some(header.due), "{key:?} in the list of its user");
            }
        }
        for (list, members) in lists {
            for (member, due) in members {
                assert!(due <= now, "{list} has {member:?}, which is no session");
            }
        }
    }
}

pub fn user_list(user: &UserIdHash) -> String {
    let digest = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(user.digest());
    format!("pc:id:{{{:x}}}:u{digest}", user.bucket().number())
}
