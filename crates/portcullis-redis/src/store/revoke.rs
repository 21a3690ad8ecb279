//! Revokes sessions of a user.

use bytes::Bytes;
use portcullis_core::{
    SessionHandle, UserIdHash,
    store::{
        Interrupted, ReplicaAcks, Revocation, RevocationReport, RevokeScope, StoreError,
        StoreErrorKind,
    },
};

use super::{
    context::Context,
    end::end_twice,
    list::{self, ATTEMPTS, moved_too_often},
    page::Page,
    realms::longest_registered,
};
use crate::{
    driver::{DedicatedConnection, Reply, wrong_reply},
    layout::{Entry, entry::names_of},
    scripts::{Call, FindUnlisted, Revoke, SetMarker},
};

/// Sessions ended by one script, so that it does not block Redis for long.
const BATCH: usize = 100;

/// Revokes sessions of a user, and has replicas confirm it if the settings ask for it.
pub(super) async fn revoke(
    context: &Context,
    revocation: &Revocation,
) -> Result<RevocationReport, Interrupted> {
    let running = Running::start(context, revocation).await?;
    let ended = match revocation.which {
        RevokeScope::One(handle) => running.end_one(handle).await?,
        RevokeScope::AllBut(kept) => running.end_all_but(Some(kept)).await?,
        RevokeScope::All | RevokeScope::Listed => running.end_all_but(None).await?,
    };
    Ok(RevocationReport {
        ended,
        copies: running.confirmed().await,
    })
}

/// Ends the sessions of these entries of a user, and those that only the list of the bucket has,
/// but not the one that is kept. The marker of the revocation is already set. If an answer is lost,
/// they are ended once more.
pub(super) async fn end_entries(
    context: &Context,
    revocation: &Revocation,
    entries: &[Bytes],
) -> Result<Vec<SessionHandle>, Interrupted> {
    let running = Running {
        context,
        dedicated: None,
        user: UserIdHash::of(&revocation.user),
        revocation,
    };
    let mut sessions = running.parse(entries);
    sessions.extend(running.find_unlisted().await?);
    sessions.retain(|entry| revocation.which.covers(entry.handle));
    match end_twice(|| running.end(&sessions)).await {
        Ok((ended, _)) => Ok(ended),
        // A session of a newer version is left alone, until the upgrade is complete.
        Err(interrupted) if interrupted.error.kind() == StoreErrorKind::NewerFormat => {
            Ok(interrupted.ended)
        }
        Err(interrupted) => Err(interrupted),
    }
}

/// A revocation that is being executed.
pub(super) struct Running<'w> {
    context: &'w Context,
    /// The connection on which replicas confirm it, if they must.
    dedicated: Option<DedicatedConnection>,
    pub(super) user: UserIdHash,
    revocation: &'w Revocation,
}

impl<'w> Running<'w> {
    pub(super) async fn start(
        context: &'w Context,
        revocation: &'w Revocation,
    ) -> Result<Self, StoreError> {
        let user = UserIdHash::of(&revocation.user);
        let marker = || context.prefix().marker(&user);
        let dedicated = match context.driver().copies() {
            Some(_) => Some(context.driver().open_dedicated(marker()).await?),
            None => None,
        };
        Ok(Self {
            context,
            dedicated,
            user,
            revocation,
        })
    }

    /// Ends one session. Follows it if it moves to another key meanwhile.
    async fn end_one(&self, handle: SessionHandle) -> Result<Vec<SessionHandle>, Interrupted> {
        let mut tried = Vec::new();
        for _ in 0..ATTEMPTS {
            let listed = list::entries(self.context, &self.user).await?;
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
        Err(moved_too_often().into())
    }

    /// Ends all sessions but one. The marker is the moment of the revocation. The sessions listed
    /// at that moment are older and can no longer be moved. Later ones are newer, or refused. Then
    /// the listed sessions are ended, and those missing in the list.
    async fn end_all_but(
        &self,
        kept: Option<SessionHandle>,
    ) -> Result<Vec<SessionHandle>, Interrupted> {
        let longest = match self.revocation.longest {
            Some(longest) => Some(longest),
            None => longest_registered(self.context).await?,
        };
        let bucket = self.user.bucket();
        let not_after = self.context.not_after(bucket);
        let call = SetMarker {
            prefix: self.context.prefix(),
            user: &self.user,
            reason: self.revocation.reason,
            note: &self.revocation.note,
            kept,
            longest,
            not_after,
            requested_at: self.context.now_in(bucket),
        };
        let reply = match self.run(&call).await {
            Ok(reply) => reply,
            Err(error) => {
                let error = self.context.once_late(bucket, not_after, error).await;
                return Err(error.into());
            }
        };
        match reply {
            Reply::Listed(_, entries) => self.end_listed(&entries).await,
            Reply::Newer => Err(StoreError::newer_format().into()),
            _ => Err(wrong_reply().into()),
        }
    }

    /// Ends the sessions of these entries of the user, and those missing in the list, but not the
    /// one that is kept. The marker is already set.
    pub(super) async fn end_listed(
        &self,
        entries: &[Bytes],
    ) -> Result<Vec<SessionHandle>, Interrupted> {
        let mut sessions = self.parse(entries);
        if self.revocation.which != RevokeScope::Listed {
            sessions.extend(self.find_unlisted().await?);
        }
        sessions.retain(|entry| self.revocation.which.covers(entry.handle));
        self.end(&sessions).await
    }

    /// Sessions that are in the list of the bucket and not in that of the user. There are none,
    /// unless the user's list was lost.
    async fn find_unlisted(&self) -> Result<Vec<Entry>, StoreError> {
        let mut unlisted = Vec::new();
        let mut next = Some(Page::first());
        while let Some(page) = next {
            let call = FindUnlisted {
                prefix: self.context.prefix(),
                user: &self.revocation.user,
                hash: &self.user,
                from: &page.from,
                most: page.most,
            };
            let Reply::Listed(members, found) = self.run(&call).await? else {
                return Err(wrong_reply());
            };
            let Some((last, entries)) = found.split_first() else {
                return Err(wrong_reply());
            };
            unlisted.extend(self.parse(entries));
            next = page.next(members, last.clone());
        }
        Ok(unlisted)
    }

    async fn end(&self, sessions: &[Entry]) -> Result<Vec<SessionHandle>, Interrupted> {
        let (mut ended, mut has_newer) = (Vec::new(), false);
        for batch in sessions.chunks(BATCH) {
            let call = Revoke {
                prefix: self.context.prefix(),
                user: &self.revocation.user,
                hash: &self.user,
                reason: self.revocation.reason,
                note: &self.revocation.note,
                sessions: batch,
                log_size: self.context.log_size(),
            };
            let error = match self.run(&call).await {
                Ok(Reply::Ended(newer, names)) => {
                    ended.extend(names_of(&names));
                    has_newer |= newer;
                    continue;
                }
                Ok(_) => wrong_reply(),
                Err(error) => error,
            };
            return Err(Interrupted { ended, error });
        }
        if has_newer {
            let error = StoreError::newer_format();
            return Err(Interrupted { ended, error });
        }
        Ok(ended)
    }

    pub(super) async fn run(&self, call: &impl Call) -> Result<Reply, StoreError> {
        match &self.dedicated {
            Some(connection) => {
                let (keys, arguments) = (call.keys(), call.arguments());
                connection.run(call.script(), keys, arguments).await
            }
            None => self.context.run(call).await,
        }
    }

    pub(super) async fn confirmed(&self) -> Option<ReplicaAcks> {
        let copies = self.context.driver().copies();
        let (connection, asked) = self.dedicated.as_ref().zip(copies)?;
        // The sessions have ended in any case. The report says whether replicas confirmed it.
        let confirmed = connection.confirmed(asked).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "it is not known whether replicas have an end of sessions");
            0
        });
        Some(ReplicaAcks { asked, confirmed })
    }

    fn parse(&self, entries: &[Bytes]) -> Vec<Entry> {
        let entries = entries.iter();
        entries
            .filter_map(|entry| Entry::parse(self.user.bucket(), entry))
            .collect()
    }
}
