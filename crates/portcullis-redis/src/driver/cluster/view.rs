//! Which node has which slots, as one of them sees it.

use fred::prelude::Value;

use crate::{driver::reply, endpoint::Endpoint};

/// All there are in a cluster.
pub(in crate::driver) const SLOTS: u16 = 16384;

/// From a first slot to a last one, and the primary that has them.
pub(in crate::driver) type Range = (u16, u16, Endpoint);

/// What `CLUSTER SLOTS` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::driver) struct View {
    ranges: Vec<Range>,
}

impl View {
    /// As the node at `asked` answers. A node that has no name for another, or for itself, means the one that one
    /// has asked: the port tells them apart.
    pub(in crate::driver) fn read(value: Value, asked: &Endpoint) -> Option<Self> {
        let Value::Array(items) = value else {
            return None;
        };
        let ranges: Option<Vec<_>> = items.into_iter().map(|item| range(item, asked)).collect();
        let mut ranges = ranges?;
        ranges.sort_unstable_by_key(|(first, ..)| *first);
        Some(Self { ranges })
    }

    pub(in crate::driver) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// The primaries that have slots.
    pub(in crate::driver) fn primaries(&self) -> Vec<Endpoint> {
        let mut primaries: Vec<Endpoint> = Vec::new();
        for (.., primary) in &self.ranges {
            if !primaries.contains(primary) {
                primaries.push(primary.clone());
            }
        }
        primaries
    }

    /// How many slots somebody has.
    pub(in crate::driver) fn served(&self) -> u16 {
        let ranges = self.ranges.iter();
        ranges.map(|(first, last, _)| last - first + 1).sum()
    }

    /// What most of them say; of those that are said equally often, the first.
    pub(in crate::driver) fn most_common(views: &[Self]) -> Option<&Self> {
        let count = |view: &Self| views.iter().filter(|other| *other == view).count();
        // The last of equals is what `max` finds.
        views.iter().rev().max_by_key(|view| count(view))
    }
}

/// The replicas behind the primary are left where they are.
fn range(value: Value, asked: &Endpoint) -> Option<Range> {
    let Value::Array(items) = value else {
        return None;
    };
    let mut items = items.into_iter();
    let mut slot = || u16::try_from(items.next()?.as_u64()?).ok();
    let (first, last) = (slot()?, slot()?);
    let Value::Array(node) = items.next()? else {
        return None;
    };
    let mut node = node.into_iter();
    let host = reply::bytes(node.next()?).unwrap_or_default();
    let port = u16::try_from(node.next()?.as_u64()?).ok()?;
    let host = match std::str::from_utf8(&host).ok()? {
        "" | "?" => asked.host(),
        host => host,
    };
    (first <= last && last < SLOTS).then(|| (first, last, Endpoint::new(host, port)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn asked() -> Endpoint {
        Endpoint::new("asked", 1)
    }

    fn said(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = Value::Array(vec![host, port.into(), "id".into(), Value::Array(vec![])]);
        let replica = Value::Array(vec!["replica".into(), 9.into(), "id".into()]);
        Value::Array(vec![first.into(), last.into(), node, replica])
    }

    fn read(items: Vec<Value>) -> Option<View> {
        View::read(Value::Array(items), &asked())
    }

    #[test]
    fn the_primary_of_each_range_is_found_and_replicas_are_left_out() {
        let view = read(vec![
            said(100, 16383, "b".into(), 2),
            said(0, 98, "a".into(), 1),
            said(99, 99, "b".into(), 2),
        ]);
        let (a, b) = (Endpoint::new("a", 1), Endpoint::new("b", 2));
        let view = view.unwrap();
        assert_eq!(
            view.ranges(),
            [
                (0, 98, a.clone()),
                (99, 99, b.clone()),
                (100, 16383, b.clone())
            ]
        );
        assert_eq!(view.primaries(), [a, b]);
        assert_eq!(view.served(), SLOTS);
    }

    #[test]
    fn a_node_without_a_name_is_where_the_one_that_was_asked_is() {
        for nameless in [Value::Null, "".into(), "?".into()] {
            let view = read(vec![said(0, 1, nameless, 7)]).unwrap();
            assert_eq!(view.primaries(), [Endpoint::new("asked", 7)]);
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_view() {
        for hostile in [
            said(5, 4, "a".into(), 1),
            said(0, 16384, "a".into(), 1),
            said(-1, 4, "a".into(), 1),
            said(0, 4, "a".into(), 65536),
            Value::Null,
            Value::Array(vec![0.into(), 1.into()]),
        ] {
            assert_eq!(read(vec![hostile]), None);
        }
        assert_eq!(View::read(Value::Null, &asked()), None);
    }

    #[test]
    fn one_node_that_lags_behind_is_outvoted() {
        let [old, new] = ["old", "new"].map(|host| read(vec![said(0, 1, host.into(), 1)]).unwrap());
        let views = [old.clone(), new.clone(), new.clone()];
        assert_eq!(View::most_common(&views), Some(&new));
        assert_eq!(View::most_common(&[old.clone(), new]), Some(&old));
        assert_eq!(View::most_common(&[]), None);
    }
}
