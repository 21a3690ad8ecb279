//! Counts the live sessions.

use std::str::FromStr;

use bytes::Bytes;
use portcullis_core::{
    Bucket,
    store::{SessionCount, StoreError},
};
use tokio::task::JoinSet;

use super::{context::Context, page};
use crate::{
    driver::{Reply, wrong_reply},
    scripts::Count,
};

/// How many buckets are counted at the same time.
const AT_ONCE: usize = 8;

/// Runs one script for each bucket, and one more for each thousand sessions in it.
pub(super) async fn count(context: &Context) -> Result<SessionCount, StoreError> {
    let mut total = SessionCount::default();
    let (mut buckets, mut counting) = (Bucket::all(), JoinSet::new());
    loop {
        while counting.len() < AT_ONCE
            && let Some(bucket) = buckets.next()
        {
            let context = context.clone();
            counting.spawn(async move { count_in(&context, bucket).await });
        }
        let Some(counted) = counting.join_next().await else {
            return Ok(total);
        };
        // The task is not cancelled and does not panic.
        let counted = counted.map_err(|_| wrong_reply())??;
        total.of_users += counted.of_users;
        total.of_visitors += counted.of_visitors;
    }
}

async fn count_in(context: &Context, bucket: Bucket) -> Result<SessionCount, StoreError> {
    let mut total = SessionCount::default();
    let mut next = Some(Bytes::from_static(b"0"));
    while let Some(after) = next {
        let call = Count {
            prefix: context.prefix(),
            bucket,
            after: &after,
            most: page::MEMBERS,
        };
        let Reply::Listed(_, found) = context.run(&call).await? else {
            return Err(wrong_reply());
        };
        let [of_users, of_visitors, rest @ ..] = found.as_slice() else {
            return Err(wrong_reply());
        };
        total.of_users += parsed(of_users)?;
        total.of_visitors += parsed(of_visitors)?;
        next = rest.first().cloned();
    }
    Ok(total)
}

fn parsed(number: &Bytes) -> Result<u64, StoreError> {
    let text = std::str::from_utf8(number).ok();
    text.and_then(|text| u64::from_str(text).ok())
        .ok_or_else(wrong_reply)
}
