//! Reads the list of a bucket page by page.

use bytes::Bytes;
use portcullis_core::{Bucket, Timestamp, store::BucketPage};

use crate::{
    driver::{Answer, Command},
    layout::Prefix,
    scripts::number,
};

/// Members on a page. Redis reads one in less than a millisecond.
pub(super) const MEMBERS: u64 = 1000;

/// A page of the list of a bucket: a number of members from a moment on.
///
/// While the list is read, a session that keeps its deadlines only moves to a later place, by its
/// activity. The next page begins with the moment at which this one ended. So no such session is
/// missed, and some are read twice.
pub(super) struct Page {
    /// The moment, as Redis writes it.
    pub(super) from: Bytes,
    pub(super) most: u64,
}

impl Page {
    /// The first page of all members.
    pub(super) fn first() -> Self {
        Self::from(Bytes::from_static(b"-inf"))
    }

    /// The first page of the members that are due after `now`.
    pub(super) fn first_after(now: Timestamp) -> Self {
        Self::from(format!("({}", now.as_millis()).into())
    }

    /// A page of sessions that are live at `now`.
    pub(super) fn of_live(page: BucketPage, now: Timestamp) -> Self {
        let from = page.from.map(|from| number(from.as_millis()));
        Self {
            most: page.most.get() as u64,
            ..from.map_or_else(|| Self::first_after(now), Self::from)
        }
    }

    fn from(from: Bytes) -> Self {
        Self {
            from,
            most: MEMBERS,
        }
    }

    /// The command that reads the page. [`members`] reads its answer.
    pub(super) fn command(&self, prefix: &Prefix, bucket: Bucket) -> Command {
        Command {
            name: "ZRANGEBYSCORE",
            arguments: vec![
                prefix.due_list(bucket).into(),
                self.from.clone(),
                Bytes::from_static(b"+inf"),
                Bytes::from_static(b"WITHSCORES"),
                Bytes::from_static(b"LIMIT"),
                Bytes::from_static(b"0"),
                number(self.most),
            ],
        }
    }

    /// The next page, if this one may not be the last. It had this many members, and the last of
    /// them is due at `last`.
    pub(super) fn next(self, members: u64, last: Bytes) -> Option<Self> {
        // A page of a single moment would be read again and again, so the next one is larger.
        let most = if last == self.from {
            self.most * 2
        } else {
            MEMBERS
        };
        (members >= self.most).then_some(Self { from: last, most })
    }
}

/// The members of a page, each with the moment at which it is due.
pub(super) fn members(answer: Answer) -> Vec<(Bytes, Bytes)> {
    let mut parts = answer.list().into_iter().flatten();
    let mut members = Vec::new();
    while let (Some(member), Some(at)) = (parts.next(), parts.next()) {
        members.push((member, at));
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_single_moment_grow_until_they_end() {
        let moment = Bytes::from_static(b"7");
        let page = Page::first().next(MEMBERS, moment.clone());
        let page = page.and_then(|page| page.next(MEMBERS, moment.clone()));
        assert_eq!(page.as_ref().map(|page| page.most), Some(2 * MEMBERS));
        let last = page.and_then(|page| page.next(2 * MEMBERS - 1, moment));
        assert!(last.is_none());
    }
}
