//! Ending the sessions that have to end for another one: at the limit of sessions, or because its user asked for it.
//!
//! The script that makes the new one names them, since it may touch only keys that it was given. They are ended before
//! anybody is given its identifier.

use bytes::Bytes;
use portcullis_core::{
    SessionHandle, SessionIdHash, SessionMeta,
    store::{
        Ended, Interrupted, Others, RecordWrite, Revocation, RevokeScope, Store, StoreError,
        StoreErrorKind, Termination,
    },
};
use tokio::task::JoinSet;

use crate::{
    RedisStore,
    driver::{Fetched, wrong_reply},
    entry::Entry,
    record::Record,
};

impl RedisStore {
    /// Ends those that have to end for the session that was just made under `key`, all in one round trip, and returns the
    /// names of those that were ended. The new one must be handed to nobody before.
    pub(crate) async fn displace(
        &self,
        key: &SessionIdHash,
        write: &RecordWrite,
        others: &Others,
        excess: &[Bytes],
    ) -> Result<Vec<SessionHandle>, Interrupted> {
        if let (Others::End(end), Some(user)) = (others, write.meta.user()) {
            let revocation = Revocation {
                user: user.clone(),
                which: RevokeScope::AllBut(write.meta.handle),
                reason: end.reason,
                note: end.note.clone(),
                longest: end.longest,
            };
            return self.end_listed(&revocation, excess).await;
        }
        let (reason, note) = others.end_of_one();
        let mut ends = JoinSet::new();
        for entry in excess
            .iter()
            .filter_map(|it| Entry::parse(key.bucket(), it))
        {
            let termination = Termination {
                key: entry.key,
                meta: SessionMeta {
                    handle: entry.handle,
                    owner: write.meta.owner.clone(),
                    class: entry.class,
                    source: entry.source,
                },
                reason,
                note: note.clone(),
                live_until: None,
            };
            let store = self.clone();
            ends.spawn(async move {
                (
                    termination.meta.handle,
                    store.end_displaced(&termination).await,
                )
            });
        }
        let (mut ended, mut failed) = (Vec::new(), None);
        // Each is waited for, also after one failed: what is begun is to be done, and reported.
        while let Some(end) = ends.join_next().await {
            match end {
                Ok((handle, Ok(true))) => ended.push(handle),
                Ok((_, Ok(false))) => {}
                // It is left alone, and makes one too many until the upgrade is over.
                Ok((_, Err(error))) if error.kind() == StoreErrorKind::NewerFormat => {}
                Ok((_, Err(error))) => failed = Some(error),
                Err(_) => failed = Some(wrong_reply()),
            }
        }
        match failed {
            None => Ok(ended),
            Some(error) => Err(Interrupted { ended, error }),
        }
    }

    /// Whether this ended the session.
    async fn end_displaced(&self, termination: &Termination) -> Result<bool, StoreError> {
        match self.end(termination).await {
            // It may have been carried out all the same, and then nobody would ever hear of it.
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {}
            ended => return Ok(ended? == Ended::Done),
        }
        if self.end(termination).await? == Ended::Done {
            return Ok(true);
        }
        // Only looked at: to load it would take an expiry that somebody else is to report.
        let found = self.driver().get(self.prefix().session(&termination.key));
        Ok(match found.await? {
            Fetched::Value(value) => match Record::parse(&value) {
                Record::Ended(tombstone) => tombstone.reason == Some(termination.reason),
                _ => false,
            },
            Fetched::Nothing | Fetched::OtherType => false,
        })
    }
}
