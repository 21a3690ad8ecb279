//! Writes and reads the log: two streams in each bucket, one of sessions with a user and one of
//! those without.
//!
//! An entry has the fields `s` (the 12 bytes of a session's name, or nothing), `u` (the user, or
//! nothing), `n` (the note) and `t` (when it happened, in ms, if that was before it was written).
//! An entry of observations also has `c` (how many there were) and `f` (when the first of them was,
//! in ms, if that was before the last).

use std::{cmp::Reverse, str::FromStr};

use bytes::Bytes;
use portcullis_core::{
    BUCKETS, Bucket, Event, Note, Timestamp, UserId, UserIdHash,
    store::{LogPlace, LogQuery, Logged, Observation, StoreError, StoreErrorKind},
};

use super::context::Context;
use crate::{
    driver::{Command, Reply, is_forbidden, wrong_reply},
    layout::record::name_of,
    scripts::{Observe, number},
};

/// Streams read in one round trip.
const STREAMS: usize = 64;

/// Entries read from a stream at once.
const PAGE: usize = 500;

/// A stream: its bucket, and whether it is of sessions with a user.
type Part = (Bucket, bool);

/// Writes an observation to the log.
pub(super) async fn observe(
    context: &Context,
    observation: &Observation,
) -> Result<(), StoreError> {
    if context.log_limits().events == 0 {
        return Ok(());
    }
    let session = observation.session.map(|session| *session.as_bytes());
    let bucket = match (&observation.user, session) {
        (Some(user), _) => Some(UserIdHash::of(user).bucket()),
        // Any bucket, as long as all servers choose the same one.
        (None, Some([high, low, ..])) => {
            Bucket::from_number(u16::from_be_bytes([high, low]) % BUCKETS)
        }
        (None, None) => Bucket::from_number(0),
    };
    let Some(bucket) = bucket else {
        return Ok(());
    };
    let call = Observe {
        prefix: context.prefix(),
        bucket,
        observation,
        log_size: context.log_size(),
    };
    let observed = context.run(&call).await;
    if observed.as_ref().is_err_and(is_forbidden) {
        note_refusal(context, true);
    }
    match observed? {
        Reply::Listed(..) => Ok(()),
        _ => Err(wrong_reply()),
    }
}

/// Checks whether the user may write to the log, without writing. Scripts that change sessions
/// succeed without it.
pub(super) async fn check(context: &Context) {
    if let (true, Some(bucket)) = (context.log_limits().events > 0, Bucket::from_number(0)) {
        let answer = context.driver().send_all(vec![probe(context, bucket)]);
        judge(context, &answer.await);
    }
}

/// A command that writes nothing. The server checks the user's rights first, and then refuses the
/// invalid number of the entry.
fn probe(context: &Context, bucket: Bucket) -> Command {
    let arguments = ["NOMKSTREAM", "none", "n", ""];
    let arguments = arguments.map(|argument| Bytes::from_static(argument.as_bytes()));
    Command {
        name: "XADD",
        arguments: [
            vec![context.prefix().log(bucket, true).into()],
            arguments.into(),
        ]
        .concat(),
    }
}

fn judge<T>(context: &Context, answer: &Result<T, StoreError>) {
    if let Err(error) = answer
        && error.kind() == StoreErrorKind::Misconfigured
    {
        note_refusal(context, is_forbidden(error));
    }
}

/// Warns once, until the right is granted.
fn note_refusal(context: &Context, is_refused: bool) {
    let was_refused = context.set_log_refused(is_refused);
    if is_refused && !was_refused {
        tracing::warn!(
            "the user of Redis may not write the log, so what happens to sessions is not recorded there; \
             grant it what the README of portcullis-redis lists, or keep no log (LogLimits with 0 events)"
        );
    }
}

/// Reads the newest events that the query asks for.
pub(super) async fn read(context: &Context, query: &LogQuery) -> Result<Vec<Logged>, StoreError> {
    let mut events = Vec::new();
    for parts in parts_for(query).chunks(STREAMS) {
        events.extend(newest(context, parts, query).await?);
        // An event that is not among the newest so far will not be in the end.
        events.sort_unstable_by_key(|logged: &Logged| Reverse(logged.place));
        events.truncate(query.count());
    }
    Ok(events)
}

/// The newest events of each of these parts that the query asks for, and perhaps more.
async fn newest(
    context: &Context,
    parts: &[Part],
    query: &LogQuery,
) -> Result<Vec<Logged>, StoreError> {
    let mut events = Vec::new();
    let oldest = context.now().before(context.log_limits().age);
    let start = number(query.from.unwrap_or(oldest).max(oldest).as_millis());
    // If every entry counts, no more entries are read than were asked for.
    let everything = query.session.is_none() && query.names.is_empty();
    let page = if everything && query.user.is_none() {
        PAGE.min(query.count())
    } else {
        PAGE
    };
    let mut open: Vec<_> = parts
        .iter()
        .map(|part| (*part, Bytes::from_static(b"+"), 0))
        .collect();
    while !open.is_empty() {
        let commands = open.iter().map(|(part, end, _)| Command {
            name: "XREVRANGE",
            arguments: vec![
                context.prefix().log(part.0, part.1).into(),
                end.clone(),
                start.clone(),
                Bytes::from_static(b"COUNT"),
                number(page as u64),
            ],
        });
        let answers = context.driver().send_all_long(commands.collect()).await?;
        let mut unread = Vec::new();
        for ((part, _, mut found), answer) in open.into_iter().zip(answers) {
            let entries = answer.entries();
            let more = entries.len() >= page;
            let oldest = entries.last().map(|(number, _)| before(number));
            for (number, fields) in entries {
                let Some(logged) = logged(part, &number, &fields, query) else {
                    continue;
                };
                events.push(logged);
                found += 1;
            }
            if let (true, Some(oldest)) = (more && found < query.count(), oldest) {
                unread.push((part, oldest, found));
            }
        }
        open = unread;
    }
    Ok(events)
}

/// Removes entries that are too old from the logs of these buckets.
pub(super) async fn trim(context: &Context, buckets: &[Bucket]) -> Result<(), StoreError> {
    let streams = buckets
        .iter()
        .flat_map(|bucket| [(*bucket, true), (*bucket, false)]);
    let commands = streams.map(|(bucket, of_users)| {
        let oldest = context.now_in(bucket).before(context.log_limits().age);
        Command {
            name: "XTRIM",
            arguments: vec![
                context.prefix().log(bucket, of_users).into(),
                // Exact: the nodes of a quiet stream would hold old entries for years.
                Bytes::from_static(b"MINID"),
                number(oldest.as_millis()),
            ],
        }
    });
    let mut commands: Vec<_> = commands.collect();
    let trims = commands.len();
    if context.log_limits().events > 0 {
        commands.extend(buckets.first().map(|bucket| probe(context, *bucket)));
    }
    let mut answers = context.driver().send_each_long(commands).await;
    answers
        .split_off(trims)
        .iter()
        .for_each(|answer| judge(context, answer));
    answers.into_iter().try_for_each(|answer| answer.map(drop))
}

/// The parts that may have what the query asks for. The events of a user are in one part.
fn parts_for(query: &LogQuery) -> Vec<Part> {
    match &query.user {
        Some(user) => vec![(UserIdHash::of(user).bucket(), true)],
        None => (0..BUCKETS)
            .filter_map(Bucket::from_number)
            .flat_map(|bucket| [(bucket, true), (bucket, false)])
            .collect(),
    }
}

/// The range that ends just before the entry of this number.
fn before(number: &Bytes) -> Bytes {
    let mut range = Vec::with_capacity(number.len() + 1);
    range.push(b'(');
    range.extend_from_slice(number);
    range.into()
}

/// The fields of an entry. Fields with other names are of a later version and ignored.
#[derive(Default)]
struct Fields<'e> {
    session: Option<&'e Bytes>,
    user: Option<&'e Bytes>,
    note: Option<&'e Bytes>,
    at: Option<&'e Bytes>,
    count: Option<&'e Bytes>,
    first_at: Option<&'e Bytes>,
}

impl<'e> Fields<'e> {
    fn of(entry: &'e [Bytes]) -> Self {
        let mut fields = Self::default();
        for field in entry.chunks_exact(2) {
            let [name, value] = field else {
                continue;
            };
            let field = match &name[..] {
                b"s" => &mut fields.session,
                b"u" => &mut fields.user,
                b"n" => &mut fields.note,
                b"t" => &mut fields.at,
                b"c" => &mut fields.count,
                b"f" => &mut fields.first_at,
                _ => continue,
            };
            *field = Some(value);
        }
        fields
    }
}

fn parsed<T: FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn logged(part: Part, number: &[u8], entry: &[Bytes], query: &LogQuery) -> Option<Logged> {
    let fields = Fields::of(entry);
    let (session, user, note) = (fields.session?, fields.user?, fields.note?);
    let (written_at, sequence) = std::str::from_utf8(number).ok()?.split_once('-')?;
    let written_at = Timestamp::from_millis(written_at.parse().ok()?);
    let moment = |field: Option<&Bytes>| Some(Timestamp::from_millis(parsed(field?)?));
    let at = moment(fields.at).unwrap_or(written_at);
    let first_at = moment(fields.first_at).unwrap_or(at).min(at);
    let session = name_of(session);
    let user = (!user.is_empty()).then(|| UserId::from(&user[..]));
    let covered = query.covers(first_at..=at, session, user.as_ref(), note);
    covered.then(|| Logged {
        place: LogPlace {
            written_at,
            number: sequence.parse().unwrap_or_default(),
            part: part.0.number() << 1 | u16::from(part.1),
        },
        event: Note::decode(note).map(|note| Event::new(note, at, session, user)),
        count: fields.count.and_then(|count| parsed(count)).unwrap_or(1),
        first_at,
    })
}
