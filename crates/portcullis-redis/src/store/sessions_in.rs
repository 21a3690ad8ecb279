//! Reads the sessions of a bucket, page by page.

use bytes::Bytes;
use portcullis_core::{
    SessionIdHash, Timestamp,
    store::{BucketPage, BucketSessions, Listed, StoreError},
};

use super::{
    context::Context,
    list::beginning,
    page::{self, Page},
};
use crate::{
    driver::{Answer, wrong_reply},
    layout::{Member, Record},
};

/// A page of the live sessions of a bucket. It takes a round trip for the list, and one for the
/// records.
pub(super) async fn sessions_in(
    context: &Context,
    page: BucketPage,
) -> Result<BucketSessions, StoreError> {
    let bucket = page.bucket;
    // What has expired is left to the sweep.
    let live = Page::of_live(page, context.now_in(bucket));
    let list = vec![live.command(context.prefix(), bucket)];
    let answers = context.driver().send_all_long(list).await?;
    let members: Vec<_> = answers.into_iter().flat_map(page::members).collect();
    let last = members.last().map(|(_, at)| moment(at)).transpose()?;
    let sessions = members
        .iter()
        .filter(|(member, _)| member.starts_with(b"s"));
    let keys = sessions.filter_map(|(member, _)| Some(Member::parse(bucket, member)?.entry.key));
    Ok(BucketSessions {
        sessions: read(context, keys.collect()).await?,
        next: last.and_then(|last| page.next(members.len(), last)),
    })
}

/// Those of these sessions that are live.
async fn read(context: &Context, keys: Vec<SessionIdHash>) -> Result<Vec<Listed>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let commands = keys.iter().map(|key| beginning(context, key)).collect();
    let answers = context.driver().send_all_long(commands).await?;
    let values = answers.into_iter().map(Answer::bytes);
    let listed = keys.into_iter().zip(values).filter_map(|(key, value)| {
        match value.as_ref().map(Record::parse) {
            Some(Record::Session(stored))
                if stored.timing.is_live(context.now_in(key.bucket())) =>
            {
                Some(Listed { key, stored })
            }
            _ => None,
        }
    });
    Ok(listed.collect())
}

fn moment(at: &Bytes) -> Result<Timestamp, StoreError> {
    let text = std::str::from_utf8(at).ok();
    let millis = text.and_then(|text| text.parse().ok());
    Ok(Timestamp::from_millis(millis.ok_or_else(wrong_reply)?))
}
