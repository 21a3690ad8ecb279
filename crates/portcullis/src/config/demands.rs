//! The demands that the code of an application declares.

use portcullis_core::{Demand, demand_name};

/// The declared demands: the name of each, and its scope.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demands(Vec<(&'static str, Option<&'static str>)>);

impl Demands {
    pub(crate) fn declare<D: Demand>(&mut self) {
        let name = demand_name::<D>();
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, D::SCOPE));
    }

    #[cfg(feature = "policy")]
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }

    /// The scope of a demand.
    #[cfg(feature = "policy")]
    pub(crate) fn scope(&self, name: &str) -> Option<&'static str> {
        let mut demands = self.0.iter();
        demands.find_map(|(other, scope)| (*other == name).then_some(*scope)?)
    }
}
