//! Ending the sessions that have to go for another one, at the limit of sessions.
//!
//! The script that makes the new one names them, since it may touch only keys that it was told. They are ended before
//! anybody is told its identifier.

use bytes::Bytes;
use portcullis_core::{
    EndReason, Handle, Label, SessionKey,
    store::{Ended, Expiry, Interrupted, Loaded, Store, StoreError, StoreErrorKind, Write},
};
use tokio::task::JoinSet;

use crate::{RedisStore, driver::out_of_place, filing::referenced};

impl RedisStore {
    /// Ends those who have to go for the session that was just made under `key`, all in one round trip, and returns the
    /// names of those that were ended. The new one must be handed to nobody before.
    pub(crate) async fn displace(
        &self,
        key: &SessionKey,
        write: &Write,
        excess: &[Bytes],
    ) -> Result<Vec<Handle>, Interrupted> {
        let mut ends = JoinSet::new();
        for (key, handle) in excess.iter().filter_map(|it| referenced(key.bucket(), it)) {
            let (store, owner) = (self.clone(), write.label.owner.clone());
            ends.spawn(async move {
                let label = Label { handle, owner };
                (handle, store.end_displaced(&key, &label).await)
            });
        }
        let (mut ended, mut failed) = (Vec::new(), None);
        // Each is waited for, also after one failed: what is begun is to be done, and told.
        while let Some(end) = ends.join_next().await {
            match end {
                Ok((handle, Ok(true))) => ended.push(handle),
                Ok((_, Ok(false))) => {}
                // It is left alone, and makes one too many until the upgrade is over.
                Ok((_, Err(error))) if error.kind() == StoreErrorKind::NewerFormat => {}
                Ok((_, Err(error))) => failed = Some(error),
                Err(_) => failed = Some(out_of_place()),
            }
        }
        match failed {
            None => Ok(ended),
            Some(error) => Err(Interrupted { ended, error }),
        }
    }

    /// Whether this ended the session.
    async fn end_displaced(&self, key: &SessionKey, label: &Label) -> Result<bool, StoreError> {
        let reason = EndReason::Displaced;
        let note = Expiry::Session(reason).note();
        match self.end(key, label, reason, &note).await {
            // It may have been carried out all the same, and then nobody would ever hear of it.
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {}
            ended => return Ok(ended? == Ended::Done),
        }
        if self.end(key, label, reason, &note).await? == Ended::Done {
            return Ok(true);
        }
        let found = self.load(key).await?;
        Ok(matches!(found, Loaded::Ended { reason: found, .. } if found == reason))
    }
}
