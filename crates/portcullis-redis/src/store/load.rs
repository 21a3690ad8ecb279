//! Loads sessions.

use portcullis_core::{
    SessionIdHash,
    store::{Loaded, StoreError},
};

use super::{
    context::Context,
    expiry::{expire_due, overdue},
};
use crate::{driver::Fetched, layout::Record};

/// How often a session is searched for that other servers remove from the list meanwhile.
const ATTEMPTS: usize = 3;

/// Loads a session with one `GET`.
pub(super) async fn load(context: &Context, key: &SessionIdHash) -> Result<Loaded, StoreError> {
    let fetched = context.driver().get(context.prefix().session(key)).await?;
    let value = match fetched {
        Fetched::Value(value) => value,
        // Boxed: the rare case must not make the future of every load larger.
        Fetched::Nothing => return Box::pin(explain_absence(context, key)).await,
        Fetched::OtherType => return Ok(damaged()),
    };
    Ok(match Record::parse(&value) {
        // A key may lose its TTL, by PERSIST or a restore. The session still ends in time.
        Record::Session(stored) if !stored.timing.is_live(context.now_in(key.bucket())) => {
            return Box::pin(explain_absence(context, key)).await;
        }
        Record::Session(stored) => Loaded::Live(stored),
        Record::Ended(tombstone) => tombstone.loaded(),
        Record::Newer => return Err(StoreError::newer_format()),
        Record::Damaged => damaged(),
    })
}

/// Finds out why there is no session under this key: perhaps it has expired, and no caller has
/// reported it yet.
///
/// Any client can send made-up identifiers. So each costs one short answer, however many sessions
/// wait to be swept.
async fn explain_absence(context: &Context, key: &SessionIdHash) -> Result<Loaded, StoreError> {
    for _ in 0..ATTEMPTS {
        // A caller that removes it from the list writes a tombstone, so it is in one of the two.
        let (member, value) = tokio::try_join!(
            overdue(context, key),
            context.driver().get(context.prefix().session(key))
        )?;
        if let Some(member) = member {
            let expired = expire_due(context, key.bucket(), &[member], true).await?;
            match expired.into_iter().last() {
                Some(expired) => return Ok(Loaded::Expired(expired)),
                // Another server was faster. Its tombstone is there now.
                None => continue,
            }
        }
        if let Fetched::Value(value) = value
            && let Record::Ended(tombstone) = Record::parse(&value)
        {
            return Ok(tombstone.loaded());
        }
        break;
    }
    Ok(Loaded::Absent)
}

fn damaged() -> Loaded {
    tracing::error!(
        "a session's key in Redis holds something that is not a session; it grants nothing. Does another \
         application use the same key prefix?"
    );
    Loaded::Damaged
}
