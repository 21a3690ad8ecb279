//! The sessions of a bucket, page by page.

use std::num::NonZeroUsize;

use super::Listed;
use crate::{Bucket, Timestamp};

/// The argument of [`Store::sessions_in`](super::Store::sessions_in): which sessions to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketPage {
    /// The bucket.
    pub bucket: Bucket,
    /// The page begins with the first session that ends at this moment or later. `None` begins with
    /// the first of all.
    pub from: Option<Timestamp>,
    /// At most this many.
    pub most: NonZeroUsize,
}

impl BucketPage {
    /// The first page of at most `most` sessions of a bucket.
    pub const fn first(bucket: Bucket, most: NonZeroUsize) -> Self {
        Self {
            bucket,
            from: None,
            most,
        }
    }

    /// The page after this one, if this one may not be the last: it had `count` entries, and the
    /// last of them ends at `last`.
    ///
    /// It begins with the moment at which this one ended, so some sessions are on both pages. A page
    /// of a single moment would return again and again, so the next one is twice as large.
    #[must_use]
    pub fn next(self, count: usize, last: Timestamp) -> Option<Self> {
        let most = match self.from == Some(last) {
            true => self
                .most
                .saturating_mul(NonZeroUsize::MIN.saturating_add(1)),
            false => self.most,
        };
        (count >= self.most.get()).then_some(Self {
            from: Some(last),
            most,
            ..self
        })
    }
}

/// A page of the sessions of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSessions {
    /// The sessions.
    pub sessions: Vec<Listed>,
    /// The next page, unless this is the last.
    pub next: Option<BucketPage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_single_moment_grow_until_they_end() {
        let bucket = Bucket::from_number(1).unwrap();
        let two = NonZeroUsize::new(2).unwrap();
        let at = Timestamp::from_millis(7);
        let second = BucketPage::first(bucket, two).next(2, at).unwrap();
        assert_eq!((second.from, second.most), (Some(at), two));
        let third = second.next(2, at).unwrap();
        assert_eq!(third.most.get(), 4);
        assert_eq!(third.next(3, at), None);
    }
}
