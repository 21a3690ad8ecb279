//! Which server to subscribe to.

use crate::{driver::settings::Settings, endpoint::Endpoint};

/// Chooses the server to subscribe to: the current one, at this endpoint, if it is still right, or
/// another one. `None` while no server is known to answer.
pub(crate) type ChooseServer = Box<dyn Fn(Option<&Endpoint>) -> Option<Settings> + Send + Sync>;
