//! The log.

use std::{collections::BTreeSet, time::Duration};

use portcullis::{
    audit::{Actor, EventKind, LogPlace, LogQuery, Logged},
    session::Timestamp,
};
use tokio::{signal, time};

use super::in_each_realm;
use crate::{
    args::{Audit, Connection, OutputOptions},
    context::Context,
    exit::{Code, Failure, Outcome},
    json::EventJson,
    moment::rfc3339,
    screen::{Reader, print_message, print_result},
    text,
};

/// The interval between two reads for new events.
const PERIOD: Duration = Duration::from_secs(1);

/// How far back each read for new events goes. Parts of the log are read one after the other, and
/// an expiry is written when a server notices it, with the moment it happened.
const LOOKBACK: Duration = Duration::from_secs(120);

pub(crate) async fn audit(
    connection: &Connection,
    output: OutputOptions,
    audit: &Audit,
) -> Result<Code, Failure> {
    if audit.follow && connection.all_realms {
        return Err(Failure::Usage(
            "only the log of one realm can be followed; name it with --realm, or remove --follow"
                .into(),
        ));
    }
    let contexts = Context::open(connection, output).await?;
    in_each_realm(&contexts, async |context: &Context| {
        read(context, output, audit).await
    })
    .await
}

async fn read(context: &Context, output: OutputOptions, audit: &Audit) -> Result<Outcome, Failure> {
    let now = context.now();
    let query = LogQuery {
        user: audit.user.clone(),
        session: audit.session,
        names: audit.event.clone(),
        from: audit.since.map(|since| since.on(now)),
        to: audit.until.map(|until| until.on(now)),
        ..LogQuery::default()
    };
    if let (Some(from), Some(to)) = (query.from, query.to)
        && from > to
    {
        return Err(Failure::Usage("--since is after --until".into()));
    }
    let reading = Reading {
        audit,
        context,
        output,
    };
    let read = reading.first(&query, now);
    if !audit.follow {
        let (events, _) = read.await?;
        reading.print(&events)?;
        if events.is_empty() {
            if !output.json {
                context.print_message("no event matches");
            }
            context.hint_at_prefix();
        }
        return Ok(Outcome::Done);
    }
    let interrupted = signal::ctrl_c();
    tokio::select! {
        biased;
        caught = interrupted => match caught {
            Ok(()) => Ok(Outcome::Done),
            Err(error) => Err(Failure::Usage(format!("Ctrl-C cannot be received: {error}"))),
        },
        ended = async {
            let (events, tail) = read.await?;
            match reading.print(&events)? {
                Reader::Open => reading.follow(&query, tail).await,
                Reader::Closed => Ok(Outcome::Done),
            }
        } => ended,
    }
}

struct Reading<'r> {
    audit: &'r Audit,
    context: &'r Context,
    output: OutputOptions,
}

impl Reading<'_> {
    /// The present events, oldest first, and where to continue.
    async fn first(
        &self,
        query: &LogQuery,
        now: Timestamp,
    ) -> Result<(Vec<Logged>, Tail), Failure> {
        let limit = self.audit.limit.get();
        let mut events = self
            .context
            .newest(query, limit, |logged| self.is_wanted(logged))
            .await?;
        events.reverse();
        let tail = Tail::new(&events, events.len() >= limit, now);
        Ok((events, tail))
    }

    /// Prints new events until the output is closed. Waits through an outage.
    async fn follow(&self, query: &LogQuery, mut tail: Tail) -> Result<Outcome, Failure> {
        let mut is_down = false;
        loop {
            time::sleep(PERIOD).await;
            let query = LogQuery {
                from: query.from.max(Some(tail.from())),
                most: usize::MAX,
                ..query.clone()
            };
            match self.context.sessions.history(query).await {
                Err(error) if !is_down => {
                    is_down = true;
                    print_message(&format!("{}; waiting for it", Failure::from(error)));
                }
                Err(_) => {}
                Ok(read) => {
                    if is_down {
                        is_down = false;
                        print_message("the store answers again");
                    }
                    let mut events = tail.unseen(read);
                    events.retain(|logged| self.is_wanted(logged));
                    if !events.is_empty() && self.print(&events)? == Reader::Closed {
                        return Ok(Outcome::Done);
                    }
                }
            }
        }
    }

    /// Filters that a query does not have.
    fn is_wanted(&self, logged: &Logged) -> bool {
        let kind = logged.event.as_ref().map(|event| &event.kind);
        let detail = kind.and_then(EventKind::detail);
        self.audit.reason.is_none() || self.audit.reason.as_deref() == detail
    }

    fn print(&self, events: &[Logged]) -> Result<Reader, Failure> {
        let mut text = String::new();
        for logged in events {
            text.push_str(&if self.output.json {
                self.context.line(&EventJson::from(logged))?
            } else {
                line(logged)
            });
        }
        print_result(&text)
    }
}

/// Remembers which events were printed already.
struct Tail {
    seen: BTreeSet<LogPlace>,
    /// Events before this were left out on purpose.
    first: Option<LogPlace>,
    newest: Timestamp,
}

impl Tail {
    /// `printed` are the newest, oldest first. There may be more before them.
    fn new(printed: &[Logged], are_more: bool, now: Timestamp) -> Self {
        Self {
            seen: printed.iter().map(|logged| logged.place).collect(),
            first: printed
                .first()
                .map(|logged| logged.place)
                .filter(|_| are_more),
            newest: now,
        }
    }

    /// The next read starts here.
    fn from(&self) -> Timestamp {
        self.newest.before(LOOKBACK)
    }

    /// Takes events, newest first. Returns those that were not printed, oldest first.
    fn unseen(&mut self, mut read: Vec<Logged>) -> Vec<Logged> {
        read.retain(|logged| Some(logged.place) >= self.first && self.seen.insert(logged.place));
        read.reverse();
        if let Some(last) = self.seen.last() {
            self.newest = self.newest.max(last.written_at);
        }
        let from = self.from();
        self.seen.retain(|place| place.written_at >= from);
        read
    }
}

/// An event as a line of a log. Names that others chose come last, in quotes where they could be
/// mistaken.
pub(super) fn line(logged: &Logged) -> String {
    let Some(event) = &logged.event else {
        let at = rfc3339(logged.place.written_at);
        return format!("{at} unreadable: it was written by a later version, or it is damaged\n");
    };
    let mut line = format!("{} {}", rfc3339(event.at), event.kind.as_str());
    let mut push = |name: &str, value: &str| {
        line.push_str(&format!(" {name}={value}"));
    };
    if let Some(detail) = event.kind.detail() {
        push("detail", &text::word(detail.as_bytes()));
    }
    if let Some(session) = event.session {
        push("session", &session.to_string());
    }
    if let Some(user) = &event.user {
        push("user", &text::user(user));
    }
    match &event.actor {
        Actor::Operator(name) => push("operator", &text::word(name.as_bytes())),
        actor => push("actor", actor.as_str()),
    }
    if let Some(client) = &event.client {
        push("client", &format!("\"{client}\""));
    }
    if logged.count > 1 {
        push("count", &logged.count.to_string());
        push("since", &rfc3339(logged.first_at));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use portcullis::{
        client::Client,
        session::{EndReason, SessionHandle},
    };
    use portcullis_core::{Event, Note};

    use super::*;

    fn logged(millis: u64, number: u64, part: u16) -> Logged {
        Logged {
            place: LogPlace {
                written_at: Timestamp::from_millis(millis),
                number,
                part,
            },
            event: None,
            count: 1,
            first_at: Timestamp::from_millis(millis),
        }
    }

    fn line_of(kind: EventKind, actor: Actor, user: &str, client: Option<Client>) -> String {
        let at = Timestamp::from_millis(1_769_862_896_789);
        let session = Some(SessionHandle::from_bytes([0; 12]));
        let note = Note::new(kind, actor, client);
        line(&Logged {
            event: Some(Event::new(note, at, session, Some(user.into()))),
            ..logged(1_769_862_896_789, 0, 0)
        })
    }

    #[test]
    fn a_line_has_actor_event_and_session() {
        let reason = EndReason::RevokedByOperator;
        assert_eq!(
            line_of(
                EventKind::Ended(reason),
                Actor::Operator("ops".into()),
                "alice",
                None
            ),
            "2026-01-31T12:34:56.789Z session_ended detail=revoked_by_operator session=AAAAAAAAAAAAAAAA user=alice operator=ops\n"
        );
        let client = Client::of_user_agent(b"curl/8.5.0");
        assert_eq!(
            line_of(EventKind::Created, Actor::Client, "Zoë", Some(client)),
            "2026-01-31T12:34:56.789Z session_created session=AAAAAAAAAAAAAAAA user=\"Zoë\" actor=client client=\"curl\"\n"
        );
    }

    #[test]
    fn a_line_of_several_events_has_their_count_and_first_moment() {
        let at = Timestamp::from_millis(1_769_862_896_789);
        let note = Note::of_system(EventKind::WriteRefused);
        let line = line(&Logged {
            event: Some(Event::new(note, at, None, Some("alice".into()))),
            count: 12,
            first_at: at.before(Duration::from_secs(60)),
            ..logged(1_769_862_896_789, 0, 0)
        });
        assert_eq!(
            line,
            "2026-01-31T12:34:56.789Z session_write_refused user=alice actor=system count=12 since=2026-01-31T12:33:56.789Z\n"
        );
    }

    #[test]
    fn s101_no_name_can_forge_another_line_or_field() {
        let line = line_of(
            EventKind::Elevated("pay\x1b[2J\u{202e}".into()),
            Actor::Operator("root\nforged".into()),
            "eve operator=root",
            None,
        );
        assert_eq!(
            line,
            "2026-01-31T12:34:56.789Z privilege_elevated detail=\"pay\\u{1b}[2J\\u{202e}\" session=AAAAAAAAAAAAAAAA user=\"eve operator=root\" operator=\"root\\nforged\"\n"
        );
    }

    #[test]
    fn an_unreadable_event_is_printed_all_the_same() {
        let line = line(&logged(0, 0, 0));
        assert!(line.starts_with("1970-01-01T00:00:00.000Z unreadable"));
    }

    #[test]
    fn no_event_is_printed_twice_and_a_late_one_is_printed() {
        let start = 1_000_000;
        let first = [logged(start, 0, 1), logged(start + 5, 0, 1)];
        let mut tail = Tail::new(&first, false, Timestamp::from_millis(start));
        assert_eq!(tail.unseen(first.to_vec()), []);
        // While part 1 was read, an event was written to part 0, which had been read before.
        let late = logged(start + 3, 0, 0);
        let read = vec![logged(start + 5, 0, 1), late.clone(), logged(start, 0, 1)];
        assert_eq!(tail.unseen(read), [late]);
        let (second, third) = (logged(start + 5, 1, 1), logged(start + 9, 0, 7));
        let unseen = tail.unseen(vec![third.clone(), second.clone()]);
        assert_eq!(unseen, [second, third]);
    }

    #[test]
    fn an_event_left_out_by_the_limit_is_not_printed_later() {
        let printed = [logged(500, 0, 0)];
        let mut tail = Tail::new(&printed, true, Timestamp::from_millis(600));
        let read = vec![logged(501, 0, 0), logged(500, 0, 0), logged(499, 0, 0)];
        assert_eq!(tail.unseen(read), [logged(501, 0, 0)]);
    }

    #[test]
    fn only_events_that_can_be_read_again_are_remembered() {
        let mut tail = Tail::new(&[], false, Timestamp::from_millis(0));
        for step in 0..1000 {
            tail.unseen(vec![logged(step * 1000, 0, 0)]);
        }
        assert_eq!(tail.seen.len(), 121);
        assert_eq!(tail.from(), Timestamp::from_millis(999_000 - 120_000));
    }
}
