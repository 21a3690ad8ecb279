//! The log.

use std::{collections::BTreeSet, time::Duration};

use portcullis::{
    audit::{Actor, EventKind, LogPlace, LogQuery, Logged},
    session::Timestamp,
};
use tokio::{signal, time};

use super::in_each_realm;
use crate::{
    args::{Audit, Connection, Look},
    context::Context,
    exit::{Code, Failure, Outcome},
    json::EventJson,
    moment::rfc3339,
    screen::{Audience, mention, say},
    text,
};

/// How often it is looked for what is new.
const PERIOD: Duration = Duration::from_secs(1);

/// How far back it is looked for what is new. Parts of the log are read one after the other, and an expiry is
/// written when somebody notices it, with the moment it happened.
const LOOKBACK: Duration = Duration::from_secs(120);

pub(crate) async fn audit(
    connection: &Connection,
    look: Look,
    audit: &Audit,
) -> Result<Code, Failure> {
    if audit.follow && connection.all_realms {
        return Err(Failure::Usage(
            "the log of one realm can be followed, not those of all; name it with --realm, or leave out --follow".into(),
        ));
    }
    let desks = Context::open(connection, look).await?;
    in_each_realm(&desks, async |context: &Context| {
        read(context, look, audit).await
    })
    .await
}

async fn read(context: &Context, look: Look, audit: &Audit) -> Result<Outcome, Failure> {
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
        look,
    };
    let read = reading.first(&query, now);
    if !audit.follow {
        let (events, _) = read.await?;
        reading.print(&events)?;
        if events.is_empty() {
            if !look.json {
                context.mention("there is no such event");
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
            Err(error) => Err(Failure::Usage(format!("Ctrl-C cannot be heard: {error}"))),
        },
        ended = async {
            let (events, tail) = read.await?;
            match reading.print(&events)? {
                Audience::Listening => reading.follow(&query, tail).await,
                Audience::Gone => Ok(Outcome::Done),
            }
        } => ended,
    }
}

struct Reading<'r> {
    audit: &'r Audit,
    context: &'r Context,
    look: Look,
}

impl Reading<'_> {
    /// What is there, oldest first, and where to go on.
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

    /// Until nobody listens any more. An outage is waited for.
    async fn follow(&self, query: &LogQuery, mut tail: Tail) -> Result<Outcome, Failure> {
        let mut is_away = false;
        loop {
            time::sleep(PERIOD).await;
            let query = LogQuery {
                from: query.from.max(Some(tail.from())),
                most: usize::MAX,
                ..query.clone()
            };
            match self.context.sessions.history(query).await {
                Err(error) if !is_away => {
                    is_away = true;
                    mention(&format!("{}; waiting for it", Failure::from(error)));
                }
                Err(_) => {}
                Ok(read) => {
                    if is_away {
                        is_away = false;
                        mention("the store answers again");
                    }
                    let mut events = tail.unseen(read);
                    events.retain(|logged| self.is_wanted(logged));
                    if !events.is_empty() && self.print(&events)? == Audience::Gone {
                        return Ok(Outcome::Done);
                    }
                }
            }
        }
    }

    /// What a query cannot say.
    fn is_wanted(&self, logged: &Logged) -> bool {
        let kind = logged.event.as_ref().map(|event| &event.kind);
        let detail = kind.and_then(EventKind::detail);
        self.audit.reason.is_none() || self.audit.reason.as_deref() == detail
    }

    fn print(&self, events: &[Logged]) -> Result<Audience, Failure> {
        let mut told = String::new();
        for logged in events {
            told.push_str(&if self.look.json {
                self.context.line(&EventJson::from(logged))?
            } else {
                line(logged)
            });
        }
        say(&told)
    }
}

/// Which events were told already.
struct Tail {
    seen: BTreeSet<LogPlace>,
    /// What is before this was left out on purpose.
    first: Option<LogPlace>,
    newest: Timestamp,
}

impl Tail {
    /// `told` are the newest, oldest first; there `are_more` before them.
    fn new(told: &[Logged], are_more: bool, now: Timestamp) -> Self {
        Self {
            seen: told.iter().map(|logged| logged.place).collect(),
            first: told.first().map(|logged| logged.place).filter(|_| are_more),
            newest: now,
        }
    }

    /// No event that is not told yet is looked for before this.
    fn from(&self) -> Timestamp {
        self.newest.before(LOOKBACK)
    }

    /// Of these, newest first, those that were not told; oldest first.
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

/// An event as a line of a log. What others named comes last, in quotes where it could be taken for more.
pub(super) fn line(logged: &Logged) -> String {
    let Some(event) = &logged.event else {
        let at = rfc3339(logged.place.written_at);
        return format!("{at} unreadable: a later version wrote it, or it is damaged\n");
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

    fn told(kind: EventKind, actor: Actor, user: &str, client: Option<Client>) -> String {
        let at = Timestamp::from_millis(1_769_862_896_789);
        let session = Some(SessionHandle::from_bytes([0; 12]));
        let note = Note::new(kind, actor, client);
        line(&Logged {
            event: Some(Event::new(note, at, session, Some(user.into()))),
            ..logged(1_769_862_896_789, 0, 0)
        })
    }

    #[test]
    fn a_line_tells_who_did_what_to_which_session() {
        let reason = EndReason::RevokedByOperator;
        assert_eq!(
            told(
                EventKind::Ended(reason),
                Actor::Operator("ops".into()),
                "alice",
                None
            ),
            "2026-01-31T12:34:56.789Z session_ended detail=revoked_by_operator session=AAAAAAAAAAAAAAAA user=alice operator=ops\n"
        );
        let client = Client::of_user_agent(b"curl/8.5.0");
        assert_eq!(
            told(EventKind::Created, Actor::Client, "Zoë", Some(client)),
            "2026-01-31T12:34:56.789Z session_created session=AAAAAAAAAAAAAAAA user=\"Zoë\" actor=client client=\"curl\"\n"
        );
    }

    #[test]
    fn a_line_of_several_events_tells_how_many_and_since_when() {
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
        let line = told(
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
    fn what_cannot_be_read_is_told_all_the_same() {
        let line = line(&logged(0, 0, 0));
        assert!(line.starts_with("1970-01-01T00:00:00.000Z unreadable"));
    }

    #[test]
    fn no_event_is_told_twice_and_one_that_comes_late_is_told() {
        let start = 1_000_000;
        let first = [logged(start, 0, 1), logged(start + 5, 0, 1)];
        let mut tail = Tail::new(&first, false, Timestamp::from_millis(start));
        assert_eq!(tail.unseen(first.to_vec()), []);
        // While part 1 was read, something was written to part 0, which had been read before.
        let late = logged(start + 3, 0, 0);
        let read = vec![logged(start + 5, 0, 1), late.clone(), logged(start, 0, 1)];
        assert_eq!(tail.unseen(read), [late]);
        let (second, third) = (logged(start + 5, 1, 1), logged(start + 9, 0, 7));
        let told = tail.unseen(vec![third.clone(), second.clone()]);
        assert_eq!(told, [second, third]);
    }

    #[test]
    fn what_a_limit_left_out_does_not_come_later() {
        let told = [logged(500, 0, 0)];
        let mut tail = Tail::new(&told, true, Timestamp::from_millis(600));
        let read = vec![logged(501, 0, 0), logged(500, 0, 0), logged(499, 0, 0)];
        assert_eq!(tail.unseen(read), [logged(501, 0, 0)]);
    }

    #[test]
    fn only_what_can_come_again_is_remembered() {
        let mut tail = Tail::new(&[], false, Timestamp::from_millis(0));
        for step in 0..1000 {
            tail.unseen(vec![logged(step * 1000, 0, 0)]);
        }
        assert_eq!(tail.seen.len(), 121);
        assert_eq!(tail.from(), Timestamp::from_millis(999_000 - 120_000));
    }
}
