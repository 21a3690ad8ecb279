//! Removes expired sessions, and returns each once.
//!
//! Any number of servers may sweep the same lists. Each goes through all lists, from a random one
//! on.

use bytes::Bytes;
use portcullis_core::{
    BUCKETS, Bucket,
    store::{StoreError, StoreErrorKind, Swept},
};

use super::{context::Context, expiry::expire_due, log};
use crate::{driver::Command, scripts::number};

/// Lists read in one round trip.
const LISTS: u16 = 64;

/// Members removed from a list by one script.
const BATCH: usize = 100;

/// A sweep stops after this many expired sessions. It may return a few more.
const MOST: usize = 1000;

/// Sweeps all buckets. Returns what was removed from the lists, even if the server fails after
/// that.
pub(super) async fn sweep(context: &Context) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    match sweep_into(context, &mut swept).await {
        Err(error) if swept.expired.is_empty() => Err(error),
        Err(error) => {
            tracing::debug!(%error, "a sweep has stopped early");
            Ok(swept)
        }
        Ok(()) => Ok(swept),
    }
}

/// Sweeps the rest if a part of a cluster does not answer.
async fn sweep_into(context: &Context, swept: &mut Swept) -> Result<(), StoreError> {
    let mut failed = Ok(());
    let first: u16 = rand::random_range(0..BUCKETS);
    for offset in (0..BUCKETS).step_by(usize::from(LISTS)) {
        let numbers = (0..LISTS).map(|step| (first + offset + step) % BUCKETS);
        let buckets: Vec<_> = numbers.filter_map(Bucket::from_number).collect();
        if offset == 0 {
            failed = match log::trim(context, &buckets).await {
                Err(error) if error.kind() != StoreErrorKind::Unavailable => return Err(error),
                trimmed => trimmed,
            };
        }
        let (mut answered, mut expiring) = (false, Ok(()));
        for (bucket, due) in due(context, &buckets).await {
            let expired = match due {
                Ok(members) if members.is_empty() => Ok((0, Vec::new())),
                Ok(members) if expiring.is_ok() => {
                    let expired = expire_due(context, bucket, &members, false).await;
                    expired.map(|expired| (members.len(), expired))
                }
                // A failed script has taken the whole wait. No further one is tried here.
                Ok(_) => continue,
                Err(error) => {
                    failed = Err(error);
                    continue;
                }
            };
            answered = true;
            match expired {
                Ok((members, expired)) => {
                    // A member that cannot be removed would be found again and again.
                    swept.more |= members >= BATCH && !expired.is_empty();
                    swept.expired.extend(expired);
                }
                Err(error) => expiring = Err(error),
            }
        }
        failed = expiring.and(failed);
        if !answered {
            break;
        }
        if swept.expired.len() >= MOST {
            swept.more = true;
            break;
        }
    }
    failed
}

/// The first members that are due in each of these buckets.
async fn due(
    context: &Context,
    buckets: &[Bucket],
) -> Vec<(Bucket, Result<Vec<Bytes>, StoreError>)> {
    let commands = buckets.iter().map(|bucket| Command {
        name: "ZRANGEBYSCORE",
        arguments: vec![
            context.prefix().due_list(*bucket).into(),
            Bytes::from_static(b"-inf"),
            number(context.now_in(*bucket).as_millis()),
            Bytes::from_static(b"LIMIT"),
            Bytes::from_static(b"0"),
            number(BATCH as u64),
        ],
    });
    let answers = context.driver().send_each_long(commands.collect()).await;
    let lists = answers
        .into_iter()
        .map(|answer| Ok(answer?.list().into_iter().flatten().collect()));
    buckets.iter().copied().zip(lists).collect()
}
