//! The view that one node has of its cluster.

use fred::prelude::Value;

use crate::{driver::answer, endpoint::Endpoint};

/// How many slots a cluster has.
pub(crate) const SLOTS: u16 = 16384;

/// The first slot of a range, the last one, and the primary that has them.
pub(crate) type Range = (u16, u16, Endpoint);

/// The answer to `CLUSTER SLOTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    ranges: Vec<Range>,
}

impl View {
    /// Reads the answer of the node at `asked`. A node without a host is at the host that was
    /// asked, with a port of its own.
    pub(crate) fn read(value: Value, asked: &Endpoint) -> Option<Self> {
        let Value::Array(items) = value else {
            return None;
        };
        let ranges: Option<Vec<_>> = items.into_iter().map(|item| range(item, asked)).collect();
        let mut ranges = ranges?;
        ranges.sort_unstable_by_key(|(first, ..)| *first);
        Some(Self { ranges })
    }

    pub(crate) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// The primaries that have slots.
    pub(crate) fn primaries(&self) -> Vec<Endpoint> {
        let mut primaries: Vec<Endpoint> = Vec::new();
        for (.., primary) in &self.ranges {
            if !primaries.contains(primary) {
                primaries.push(primary.clone());
            }
        }
        primaries
    }

    /// How many slots have a node.
    pub(crate) fn served(&self) -> u16 {
        let ranges = self.ranges.iter();
        ranges.map(|(first, last, _)| last - first + 1).sum()
    }

    /// The most common of these views, and the first of several that are equally common.
    pub(crate) fn most_common(views: &[Self]) -> Option<&Self> {
        let count = |view: &Self| views.iter().filter(|other| *other == view).count();
        // `max_by_key` returns the last of equals.
        views.iter().rev().max_by_key(|view| count(view))
    }
}

/// Reads one range. The replicas behind the primary are ignored.
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
    let host = answer::bytes(node.next()?).unwrap_or_default();
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

    fn slots(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = Value::Array(vec![host, port.into(), "id".into(), Value::Array(vec![])]);
        let replica = Value::Array(vec!["replica".into(), 9.into(), "id".into()]);
        Value::Array(vec![first.into(), last.into(), node, replica])
    }

    fn read(items: Vec<Value>) -> Option<View> {
        View::read(Value::Array(items), &asked())
    }

    #[test]
    fn the_primary_of_each_range_is_read_and_replicas_are_ignored() {
        let view = read(vec![
            slots(100, 16383, "b".into(), 2),
            slots(0, 98, "a".into(), 1),
            slots(99, 99, "b".into(), 2),
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
    fn a_node_without_a_host_is_at_the_host_that_was_asked() {
        for nameless in [Value::Null, "".into(), "?".into()] {
            let view = read(vec![slots(0, 1, nameless, 7)]).unwrap();
            assert_eq!(view.primaries(), [Endpoint::new("asked", 7)]);
        }
    }

    #[test]
    fn an_unreadable_answer_is_no_view() {
        for hostile in [
            slots(5, 4, "a".into(), 1),
            slots(0, 16384, "a".into(), 1),
            slots(-1, 4, "a".into(), 1),
            slots(0, 4, "a".into(), 65536),
            Value::Null,
            Value::Array(vec![0.into(), 1.into()]),
        ] {
            assert_eq!(read(vec![hostile]), None);
        }
        assert_eq!(View::read(Value::Null, &asked()), None);
    }

    #[test]
    fn one_node_with_an_old_view_is_outvoted() {
        let [old, new] =
            ["old", "new"].map(|host| read(vec![slots(0, 1, host.into(), 1)]).unwrap());
        let views = [old.clone(), new.clone(), new.clone()];
        assert_eq!(View::most_common(&views), Some(&new));
        assert_eq!(View::most_common(&[old.clone(), new]), Some(&old));
        assert_eq!(View::most_common(&[]), None);
    }
}
