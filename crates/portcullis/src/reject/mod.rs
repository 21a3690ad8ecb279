//! Refused requests: the reason, the response, and which responses of handlers count as refusals.
//!
//! [`Refusal`] is the reason in a response of this library, and replaces its page. [`Outcome`]
//! decides which changes of a session are carried out. The guide [`refused`](crate::refused)
//! describes the responses.

pub(crate) mod audience;
pub(crate) mod connection_ended;
pub(crate) mod document;
pub(crate) mod error;
pub(crate) mod html;
pub(crate) mod page;
pub(crate) mod problem;
pub(crate) mod redirect;
pub(crate) mod refusal;
pub(crate) mod response;
pub(crate) mod retry_page;
pub(crate) mod return_to;
mod reword;
pub(crate) mod withheld;

pub use self::refusal::Refusal;
#[doc(inline)]
pub use crate::outcome::{KeepGrants, Outcome};
