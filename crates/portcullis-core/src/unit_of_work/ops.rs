//! The operations of a request that are not written yet.

use std::ops::Deref;

use super::{Op, PayloadLimits, SessionView, View};
use crate::ChangeError;

/// Operations in the order in which they were asked for, and the session before the first of them
/// that grants something. A response that refuses the request returns to that session.
///
/// No function of the application is called again for that, so it cannot fail.
#[derive(Debug, Default)]
pub(super) struct Ops {
    ops: Vec<Op>,
    /// Set if there is an operation that grants something.
    before_grant: Option<SessionView>,
}

impl Ops {
    /// Adds an operation that was applied to `before`.
    pub(super) fn push(&mut self, op: Op, before: &SessionView) {
        if op.grants() && self.before_grant.is_none() {
            self.before_grant = Some(before.clone());
        }
        self.ops.push(op);
    }

    /// Applies all operations to `view`, on which they then build, or changes nothing.
    pub(super) fn apply_to(
        &mut self,
        mut view: View,
        limits: PayloadLimits,
    ) -> Result<View, ChangeError> {
        let mut before_grant = None;
        for op in &mut self.ops {
            if op.grants() && before_grant.is_none() {
                before_grant = Some(SessionView(Some(view.clone())));
            }
            op.apply(&mut view, limits)?;
        }
        self.before_grant = before_grant;
        Ok(view)
    }

    /// Removes the first operation that grants something and all after it. Returns them, and the
    /// session before the first. `None` if nothing is granted.
    pub(super) fn split_at_grant(&mut self) -> Option<(SessionView, Self)> {
        let first = self.ops.iter().position(Op::grants)?;
        let after = Self {
            ops: self.ops.split_off(first),
            before_grant: None,
        };
        Some((self.before_grant.take().unwrap_or_default(), after))
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Op) -> bool) {
        self.ops.retain(keep);
        if !self.grant() {
            self.before_grant = None;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether any of them grants something.
    pub(super) fn grant(&self) -> bool {
        self.ops.iter().any(Op::grants)
    }

    /// Whether any of them is an authentication.
    pub(super) fn authenticate(&self) -> bool {
        self.ops.iter().any(|op| op.restarts().is_some())
    }
}

impl Deref for Ops {
    type Target = [Op];

    fn deref(&self) -> &[Op] {
        &self.ops
    }
}

impl<'o> IntoIterator for &'o mut Ops {
    type Item = &'o mut Op;
    type IntoIter = std::slice::IterMut<'o, Op>;

    fn into_iter(self) -> Self::IntoIter {
        self.ops.iter_mut()
    }
}

impl IntoIterator for Ops {
    type Item = Op;
    type IntoIter = std::vec::IntoIter<Op>;

    fn into_iter(self) -> Self::IntoIter {
        self.ops.into_iter()
    }
}
