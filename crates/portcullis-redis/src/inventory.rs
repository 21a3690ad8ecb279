//! Sessions of a user: listed, and ended from outside.

use std::collections::HashSet;

use bytes::Bytes;
use portcullis_core::{
    Bucket, EndReason, SessionHandle, UserId, UserIdHash,
    store::{
        Interrupted, Listed, ReplicaAcks, Revocation, RevocationReport, RevokeScope, StoreError,
        StoreErrorKind,
    },
};

use crate::{
    RedisStore,
    arguments::{memory_of_marker, number, tombstone_arguments},
    driver::{
        Answer, Command, DedicatedConnection, FIND_UNLISTED, REVOKE, Reply, SET_MARKER, Script,
        wrong_reply,
    },
    entry::{Entry, Member, names_of},
    record::{self, Record},
};

/// Sessions ended by one script: it may not keep Redis from others for long.
const BATCH: usize = 100;

/// Records read in one round trip, each by a command of its own.
const HEADS: usize = 500;

/// Members of a bucket's list in one answer.
const PAGE: u64 = 1000;

/// How often a session is looked for that gets new identifiers meanwhile.
const ATTEMPTS: usize = 16;

impl RedisStore {
    /// One round trip for the list and one for each few hundred records. As many again when a session was moved in
    /// between: it is under a key that was not listed yet.
    pub(crate) async fn sessions_of(&self, user: &UserId) -> Result<Vec<Listed>, StoreError> {
        let user = UserIdHash::of(user);
        for _ in 0..ATTEMPTS {
            if let Some(sessions) = self.look_through(&user).await? {
                return Ok(sessions);
            }
        }
        Err(restless())
    }

    /// The sessions that are listed, unless one of them has just been moved.
    async fn look_through(&self, user: &UserIdHash) -> Result<Option<Vec<Listed>>, StoreError> {
        let listed = self.listed(user).await?.into_iter();
        let keys: Vec<_> = listed.map(|entry| entry.key).collect();
        if keys.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(HEADS) {
            let beginning = |key| Command {
                name: "GETRANGE",
                arguments: vec![
                    self.prefix().session(key).into(),
                    Bytes::from_static(b"0"),
                    number(record::length_with(Listed::PAYLOAD) - 1),
                ],
            };
            let commands = keys.iter().map(beginning).collect();
            let answers = self.driver().send_all_long(commands).await?;
            values.extend(answers.into_iter().map(Answer::bytes));
        }
        let now = self.now_in(user.bucket());
        let mut sessions = Vec::new();
        for (key, value) in keys.into_iter().zip(values) {
            match value.as_ref().map(Record::parse) {
                Some(Record::Session(stored)) if stored.timing.is_live(now) => {
                    sessions.push(Listed { key, stored });
                }
                Some(Record::Ended(mark)) if mark.reason.is_some_and(EndReason::is_replacement) => {
                    return Ok(None);
                }
                _ => {}
            }
        }
        Ok(Some(sessions))
    }

    async fn listed(&self, user: &UserIdHash) -> Result<Vec<Entry>, StoreError> {
        let list = Command {
            name: "ZRANGE",
            arguments: vec![
                self.prefix().user_list(user).into(),
                Bytes::from_static(b"0"),
                Bytes::from_static(b"-1"),
            ],
        };
        let answers = self.driver().send_all_long(vec![list]).await?;
        let entries = answers.into_iter().flat_map(Answer::list).flatten();
        Ok(entries
            .filter_map(|entry| Entry::parse(user.bucket(), &entry))
            .collect())
    }

    pub(crate) async fn users_in(&self, bucket: Bucket) -> Result<Vec<UserId>, StoreError> {
        let mut users = HashSet::new();
        let mut next = Some(Page::first());
        while let Some(page) = next {
            let members = self.due_on(bucket, &page).await?;
            let members_of = members.iter().map(|(member, _)| member);
            let sessions = members_of.filter(|member| member.starts_with(b"s"));
            let found = sessions.filter_map(|member| Member::parse(bucket, member)?.user);
            users.extend(found);
            next = members
                .last()
                .and_then(|(_, last)| page.after(members.len() as u64, last.clone()));
        }
        Ok(users.into_iter().collect())
    }

    /// What a page holds, each with its moment.
    async fn due_on(&self, bucket: Bucket, page: &Page) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let command = Command {
            name: "ZRANGEBYSCORE",
            arguments: vec![
                self.prefix().due_list(bucket).into(),
                page.from.clone(),
                Bytes::from_static(b"+inf"),
                Bytes::from_static(b"WITHSCORES"),
                Bytes::from_static(b"LIMIT"),
                Bytes::from_static(b"0"),
                number(page.most),
            ],
        };
        let answers = self.driver().send_all_long(vec![command]).await?;
        let mut parts = answers.into_iter().flat_map(Answer::list).flatten();
        let mut members = Vec::new();
        while let (Some(member), Some(at)) = (parts.next(), parts.next()) {
            members.push((member, at));
        }
        Ok(members)
    }

    pub(crate) async fn carry_out(
        &self,
        revocation: &Revocation,
    ) -> Result<RevocationReport, Interrupted> {
        let user = UserIdHash::of(&revocation.user);
        let line = match self.driver().copies() {
            Some(_) => Some(
                self.driver()
                    .open_dedicated(self.prefix().marker(&user))
                    .await?,
            ),
            None => None,
        };
        let work = Work {
            store: self,
            line,
            user,
            revocation,
        };
        let ended = match revocation.which {
            RevokeScope::One(handle) => work.one(handle).await?,
            RevokeScope::AllBut(kept) => work.all_but(Some(kept)).await?,
            RevokeScope::All | RevokeScope::Listed => work.all_but(None).await?,
        };
        Ok(RevocationReport {
            ended,
            copies: work.confirmed().await,
        })
    }
}

impl RedisStore {
    /// Ends these sessions of a user, and those that only the list of the bucket has, but for the one that is kept. The
    /// marker of the revocation is set already. Where an answer is lost it is asked for once more.
    pub(crate) async fn end_listed(
        &self,
        revocation: &Revocation,
        entries: &[Bytes],
    ) -> Result<Vec<SessionHandle>, Interrupted> {
        let work = Work {
            store: self,
            line: None,
            user: UserIdHash::of(&revocation.user),
            revocation,
        };
        let mut sessions = work.entries(entries);
        sessions.extend(work.find_unlisted().await?);
        sessions.retain(|entry| revocation.which.covers(entry.handle));
        let Interrupted { mut ended, error } = match work.end(&sessions).await {
            Err(interrupted) if interrupted.error.kind() == StoreErrorKind::Unavailable => {
                interrupted
            }
            // It is left alone, and goes on until the upgrade is over.
            Err(interrupted) if interrupted.error.kind() == StoreErrorKind::NewerFormat => {
                return Ok(interrupted.ended);
            }
            answered => return answered,
        };
        tracing::debug!(%error, "the answer to an end of sessions was lost; it is asked for once more");
        match work.end(&sessions).await {
            Ok(more) => ended.extend(more),
            Err(again) => {
                ended.extend(again.ended);
                let error = again.error;
                return Err(Interrupted { ended, error });
            }
        }
        Ok(ended)
    }
}

fn restless() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "a session was given new identifiers faster than it could be looked at, and lives on; try again",
    )
}

/// A part of the list of a bucket: so many from a moment on.
///
/// While the list is read, a session that keeps its deadlines moves to a later place if at all, by its activity. The next
/// page begins with the moment at which this one ended. So no such session slips through, and some are seen twice.
struct Page {
    from: Bytes,
    most: u64,
}

impl Page {
    fn first() -> Self {
        Self {
            from: Bytes::from_static(b"-inf"),
            most: PAGE,
        }
    }

    /// The next one, if this may not be the last.
    fn after(self, seen: u64, last: Bytes) -> Option<Self> {
        // A page of one moment alone would come again and again.
        let most = if last == self.from {
            self.most * 2
        } else {
            PAGE
        };
        (seen >= self.most).then_some(Self { from: last, most })
    }
}

/// A revocation that is being carried out.
struct Work<'w> {
    store: &'w RedisStore,
    /// Where it has to be confirmed.
    line: Option<DedicatedConnection>,
    user: UserIdHash,
    revocation: &'w Revocation,
}

impl Work<'_> {
    /// Whoever gives the session a new identifier meanwhile is followed.
    async fn one(&self, handle: SessionHandle) -> Result<Vec<SessionHandle>, Interrupted> {
        let mut tried = Vec::new();
        for _ in 0..ATTEMPTS {
            let listed = self.store.listed(&self.user).await?;
            let found = listed
                .into_iter()
                .find(|entry| entry.handle == handle && !tried.contains(&entry.key));
            let Some(session) = found else {
                return Ok(Vec::new());
            };
            tried.push(session.key);
            let ended = self.end(&[session]).await?;
            if !ended.is_empty() {
                return Ok(ended);
            }
        }
        Err(restless().into())
    }

    /// The mark is the moment: what is listed then is older, and cannot be moved any more. What comes after it
    /// is newer, or refused. Then whoever is listed is ended, and whoever should have been.
    async fn all_but(
        &self,
        kept: Option<SessionHandle>,
    ) -> Result<Vec<SessionHandle>, Interrupted> {
        let reason = self.revocation.reason.code().to_string().into();
        let name = kept.map(|handle| Bytes::copy_from_slice(handle.as_bytes()));
        let longest = match self.revocation.longest {
            Some(longest) => Some(longest),
            None => self.store.longest_registered().await?,
        };
        let keys = vec![self.user_list(), self.store.prefix().marker(&self.user)];
        let bucket = self.user.bucket();
        let not_after = self.store.not_after(bucket);
        let arguments = vec![
            reason,
            name.unwrap_or_default(),
            memory_of_marker(longest),
            self.revocation.note.encode(),
            number(not_after.as_millis()),
            number(self.store.now_in(bucket).as_millis()),
        ];
        let marked = match self.run(&SET_MARKER, keys, arguments).await {
            Ok(reply) => reply,
            Err(error) => return Err(self.store.once_late(bucket, not_after, error).await.into()),
        };
        let mut sessions = match marked {
            Reply::Listed(_, entries) => self.entries(&entries),
            Reply::Newer => return Err(StoreError::newer_format().into()),
            _ => return Err(wrong_reply().into()),
        };
        if self.revocation.which != RevokeScope::Listed {
            sessions.extend(self.find_unlisted().await?);
        }
        sessions.retain(|entry| Some(entry.handle) != kept);
        self.end(&sessions).await
    }

    /// Sessions that the list of the bucket has and that of the user has not: none, unless it was lost.
    async fn find_unlisted(&self) -> Result<Vec<Entry>, StoreError> {
        let mut unlisted = Vec::new();
        let mut next = Some(Page::first());
        while let Some(page) = next {
            let keys = vec![self.due_list(), self.user_list()];
            let arguments = vec![
                Bytes::copy_from_slice(self.revocation.user.as_bytes()),
                page.from.clone(),
                number(page.most),
            ];
            let Reply::Listed(seen, found) = self.run(&FIND_UNLISTED, keys, arguments).await?
            else {
                return Err(wrong_reply());
            };
            let Some((last, entries)) = found.split_first() else {
                return Err(wrong_reply());
            };
            unlisted.extend(self.entries(entries));
            next = page.after(seen, last.clone());
        }
        Ok(unlisted)
    }

    async fn end(&self, sessions: &[Entry]) -> Result<Vec<SessionHandle>, Interrupted> {
        let (mut ended, mut left_alone) = (Vec::new(), false);
        let [code, memory] = tombstone_arguments(self.revocation.reason);
        let note = self.revocation.note.encode();
        for batch in sessions.chunks(BATCH) {
            let prefix = self.store.prefix();
            let log = prefix.log(self.user.bucket(), true);
            let mut keys = vec![self.due_list(), log, self.user_list()];
            let mut arguments = vec![
                code.clone(),
                memory.clone(),
                note.clone(),
                self.store.log_size(true),
                Bytes::copy_from_slice(self.revocation.user.as_bytes()),
            ];
            for entry in batch {
                keys.push(prefix.session(&entry.key));
                arguments.push(entry.encode());
            }
            let error = match self.run(&REVOKE, keys, arguments).await {
                Ok(Reply::Ended(newer, names)) => {
                    ended.extend(names_of(&names));
                    left_alone |= newer;
                    continue;
                }
                Ok(_) => wrong_reply(),
                Err(error) => error,
            };
            return Err(Interrupted { ended, error });
        }
        if left_alone {
            let error = StoreError::newer_format();
            return Err(Interrupted { ended, error });
        }
        Ok(ended)
    }

    async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        match &self.line {
            Some(line) => line.run(script, keys, arguments).await,
            None => self.store.run(script, keys, arguments).await,
        }
    }

    async fn confirmed(&self) -> Option<ReplicaAcks> {
        let (line, asked) = self.line.as_ref().zip(self.store.driver().copies())?;
        // They are ended all the same, and that is what the receipt is for.
        let confirmed = line.confirmed(asked).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "it is not known whether replicas have an end of sessions");
            0
        });
        Some(ReplicaAcks { asked, confirmed })
    }

    fn entries(&self, entries: &[Bytes]) -> Vec<Entry> {
        let entries = entries.iter();
        entries
            .filter_map(|entry| Entry::parse(self.user.bucket(), entry))
            .collect()
    }

    fn due_list(&self) -> String {
        self.store.prefix().due_list(self.user.bucket())
    }

    fn user_list(&self) -> String {
        self.store.prefix().user_list(&self.user)
    }
}
