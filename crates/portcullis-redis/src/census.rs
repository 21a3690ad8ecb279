//! How many sessions are live, and whose: read from the lists of all buckets, a page at a time.

use std::{collections::BTreeSet, str::FromStr};

use bytes::Bytes;
use portcullis_core::{
    BUCKETS, Bucket, Timestamp, UserId,
    store::{SessionCount, StoreError, UsersAfter},
};
use tokio::task::JoinSet;

use crate::{
    RedisStore,
    arguments::number,
    driver::{COUNT, Command, Reply, wrong_reply},
    entry::Member,
};

/// Members looked at by one script, or told in one answer. It keeps Redis from others for less than a millisecond.
const PAGE: u64 = 1000;

/// How many buckets are counted at the same time.
const AT_ONCE: usize = 8;

/// How many lists are read in one round trip.
const LISTS: usize = 16;

impl RedisStore {
    /// One script for each bucket, or for each thousand sessions in it.
    pub(crate) async fn count_all(&self) -> Result<SessionCount, StoreError> {
        let mut total = SessionCount::default();
        let (mut buckets, mut counting) = (Bucket::all(), JoinSet::new());
        loop {
            while counting.len() < AT_ONCE
                && let Some(bucket) = buckets.next()
            {
                let store = self.clone();
                counting.spawn(async move { store.count_in(bucket).await });
            }
            let Some(counted) = counting.join_next().await else {
                return Ok(total);
            };
            // It is not cancelled and does not panic.
            let counted = counted.map_err(|_| wrong_reply())??;
            total.of_users += counted.of_users;
            total.of_visitors += counted.of_visitors;
        }
    }

    async fn count_in(&self, bucket: Bucket) -> Result<SessionCount, StoreError> {
        let mut total = SessionCount::default();
        let mut after = Some(Bytes::from_static(b"0"));
        while let Some(moment) = after.take() {
            let keys = vec![self.prefix().due_list(bucket)];
            let Reply::Listed(_, found) =
                self.run(&COUNT, keys, vec![moment, number(PAGE)]).await?
            else {
                return Err(wrong_reply());
            };
            let [of_users, of_visitors, next @ ..] = found.as_slice() else {
                return Err(wrong_reply());
            };
            total.of_users += parsed(of_users)?;
            total.of_visitors += parsed(of_visitors)?;
            after = next.first().cloned();
        }
        Ok(total)
    }

    /// Users are ordered by their bucket, and in a bucket by their bytes.
    pub(crate) async fn page_of_users(
        &self,
        page: UsersAfter<'_>,
    ) -> Result<Vec<UserId>, StoreError> {
        let UsersAfter { after, most, .. } = page;
        let first = after.map_or(0, |user| Bucket::of(user).number());
        let buckets: Vec<_> = (first..BUCKETS).filter_map(Bucket::from_number).collect();
        let mut users = Vec::new();
        for buckets in buckets.chunks(LISTS) {
            for found in self.live_users(buckets).await? {
                let is_next = |user: &UserId| {
                    let is_behind =
                        |after: &UserId| Bucket::of(user) != Bucket::of(after) || user > after;
                    after.is_none_or(is_behind)
                };
                users.extend(found.into_iter().filter(is_next));
            }
            if users.len() >= most.get() {
                break;
            }
        }
        users.truncate(most.get());
        Ok(users)
    }

    /// The users with live sessions in each of these buckets, in order.
    ///
    /// While a list is read, a session that keeps its deadlines moves to a later place if at all. The next page begins with
    /// the moment at which this one ended, so no such session slips through.
    async fn live_users(&self, buckets: &[Bucket]) -> Result<Vec<BTreeSet<UserId>>, StoreError> {
        let mut lists: Vec<_> = buckets
            .iter()
            .map(|bucket| List::of(self, *bucket))
            .collect();
        loop {
            let open = lists.iter_mut().filter(|list| !list.is_read);
            let open: Vec<_> = open.collect();
            if open.is_empty() {
                return Ok(lists.into_iter().map(|list| list.users).collect());
            }
            let commands = open.iter().map(|list| list.next_page(self)).collect();
            let answers = self.driver().send_all_long(commands).await?;
            for (list, answer) in open.into_iter().zip(answers) {
                list.take(answer.list());
            }
        }
    }
}

/// The list of a bucket while it is read.
struct List {
    bucket: Bucket,
    /// From where on, as Redis takes it.
    from: Bytes,
    most: u64,
    is_read: bool,
    users: BTreeSet<UserId>,
}

impl List {
    fn of(store: &RedisStore, bucket: Bucket) -> Self {
        // At its deadline a session is not live.
        let live: Timestamp = store.now_in(bucket);
        Self {
            bucket,
            from: format!("({}", live.as_millis()).into(),
            most: PAGE,
            is_read: false,
            users: BTreeSet::new(),
        }
    }

    fn next_page(&self, store: &RedisStore) -> Command {
        Command {
            name: "ZRANGEBYSCORE",
            arguments: vec![
                store.prefix().due_list(self.bucket).into(),
                self.from.clone(),
                Bytes::from_static(b"+inf"),
                Bytes::from_static(b"WITHSCORES"),
                Bytes::from_static(b"LIMIT"),
                Bytes::from_static(b"0"),
                number(self.most),
            ],
        }
    }

    fn take(&mut self, page: Vec<Option<Bytes>>) {
        let (mut seen, mut last) = (0, None);
        let mut parts = page.into_iter().flatten();
        while let (Some(member), Some(at)) = (parts.next(), parts.next()) {
            seen += 1;
            last = Some(at);
            let session = member
                .starts_with(b"s")
                .then(|| Member::parse(self.bucket, &member));
            self.users
                .extend(session.flatten().and_then(|member| member.user));
        }
        match last {
            Some(last) if seen >= self.most => {
                // A page of one moment alone would come again and again.
                self.most = if last == self.from {
                    self.most * 2
                } else {
                    PAGE
                };
                self.from = last;
            }
            _ => self.is_read = true,
        }
    }
}

fn parsed(number: &Bytes) -> Result<u64, StoreError> {
    let text = std::str::from_utf8(number).ok();
    text.and_then(|text| u64::from_str(text).ok())
        .ok_or_else(wrong_reply)
}
