//! The limits of flagged sessions.

use std::time::Duration;

/// The limits of a session that was used from what looks like another device since its user last
/// proved their identity. They only shorten what its class permits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "whoever resolves a policy builds it whole"
)]
pub struct FlaggedLimits {
    /// It ends after this long without activity.
    pub idle: Option<Duration>,
    /// What becomes of its elevations.
    pub elevation: FlaggedElevation,
}

/// What becomes of the elevations of a session that is flagged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the caller must handle each")]
pub enum FlaggedElevation {
    /// They stay as they are.
    #[default]
    Unchanged,
    /// They end.
    Ended,
}
