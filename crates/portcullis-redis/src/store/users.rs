//! Lists the users who have sessions.

use std::collections::BTreeSet;

use portcullis_core::{
    BUCKETS, Bucket, UserId,
    store::{StoreError, UsersAfter},
};

use super::{
    context::Context,
    page::{self, Page},
};
use crate::{driver::Answer, layout::Member};

/// How many lists are read in one round trip.
const LISTS: usize = 16;

/// The users of a bucket with sessions, live or expired.
pub(super) async fn users(context: &Context, bucket: Bucket) -> Result<Vec<UserId>, StoreError> {
    let lists = vec![List::new(bucket, Page::first())];
    let users = read(context, lists).await?;
    Ok(users.into_iter().flatten().collect())
}

/// A page of the users with live sessions. Users are sorted by their bucket, and in a bucket by
/// their bytes.
pub(super) async fn users_after(
    context: &Context,
    page: UsersAfter<'_>,
) -> Result<Vec<UserId>, StoreError> {
    let UsersAfter { after, most, .. } = page;
    let first = after.map_or(0, |user| Bucket::of(user).number());
    let buckets: Vec<_> = (first..BUCKETS).filter_map(Bucket::from_number).collect();
    let mut users = Vec::new();
    for buckets in buckets.chunks(LISTS) {
        let lists = buckets.iter().map(|bucket| {
            // At its deadline a session is not live.
            let live = Page::first_after(context.now_in(*bucket));
            List::new(*bucket, live)
        });
        for found in read(context, lists.collect()).await? {
            users.extend(found.into_iter().filter(|user| is_on(user, after)));
        }
        if users.len() >= most.get() {
            break;
        }
    }
    users.truncate(most.get());
    Ok(users)
}

/// Whether a user of the bucket of `after`, or of a later one, comes after this user.
pub(super) fn is_on(user: &UserId, after: Option<&UserId>) -> bool {
    after.is_none_or(|after| Bucket::of(user) != Bucket::of(after) || user > after)
}

/// Reads these lists to their ends, a page of each in one round trip. Returns the users of each.
async fn read(
    context: &Context,
    mut lists: Vec<List>,
) -> Result<Vec<BTreeSet<UserId>>, StoreError> {
    loop {
        let unread = lists.iter_mut().filter_map(|list| {
            let page = list.next.take()?;
            Some((list, page))
        });
        let unread: Vec<_> = unread.collect();
        if unread.is_empty() {
            return Ok(lists.into_iter().map(|list| list.users).collect());
        }
        let commands = unread
            .iter()
            .map(|(list, page)| page.command(context.prefix(), list.bucket));
        let answers = context.driver().send_all_long(commands.collect()).await?;
        for ((list, page), answer) in unread.into_iter().zip(answers) {
            list.add(page, answer);
        }
    }
}

/// The list of a bucket while it is read.
struct List {
    bucket: Bucket,
    next: Option<Page>,
    users: BTreeSet<UserId>,
}

impl List {
    fn new(bucket: Bucket, first: Page) -> Self {
        Self {
            bucket,
            next: Some(first),
            users: BTreeSet::new(),
        }
    }

    fn add(&mut self, page: Page, answer: Answer) {
        let members = page::members(answer);
        let sessions = members
            .iter()
            .filter(|(member, _)| member.starts_with(b"s"));
        let users = sessions.filter_map(|(member, _)| Member::parse(self.bucket, member)?.user);
        self.users.extend(users);
        let count = members.len() as u64;
        let last = members.into_iter().last();
        self.next = last.and_then(|(_, at)| page.next(count, at));
    }
}
