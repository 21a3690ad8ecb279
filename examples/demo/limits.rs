//! How long sessions last.

use std::error::Error;

use portcullis::{Demand, SessionLayer, Timeouts, policy::Document, settings::Class};

/// The class of sessions of administrators.
pub(crate) const ADMINISTRATOR: Class = Class::new("administrator", 'a');

/// The document with which the shop starts.
pub(crate) const DOCUMENT: &str = include_str!("policy.toml");

/// What the operations page demands. The document tightens it.
pub(crate) struct Operations;

impl Demand for Operations {
    const NAME: &'static str = "operations";
}

/// The limits of the document, or those that were asked for. They hold for administrators too.
pub(crate) fn limited(
    sessions: SessionLayer,
    asked_for: Option<Timeouts>,
) -> Result<SessionLayer, Box<dyn Error>> {
    let sessions = sessions.classes([ADMINISTRATOR])?.demand::<Operations>();
    match asked_for {
        Some(timeouts) => Ok(sessions.timeouts(timeouts)),
        None => {
            let document = Document::parse(DOCUMENT)?;
            Ok(sessions.policy(&document)?)
        }
    }
}
