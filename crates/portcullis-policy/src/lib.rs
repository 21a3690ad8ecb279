//! Policies of Portcullis sessions as documents.
//!
//! A [`Document`] is TOML that an operator writes. It has a [`Profile`], limits, classes,
//! environments and caps. [`Document::resolve`] gives the [`Policy`](portcullis_core::Policy) of
//! one environment, after a check of every class in every environment.
//!
//! ```
//! use portcullis_core::Class;
//! use portcullis_policy::{Declared, Document, PolicyBounds};
//!
//! const ADMIN: Class = Class::new("admin", 'a');
//!
//! let text = r#"
//!     schema = 1
//!     profile = "aal2"
//!     [class.admin]
//!     idle = "15m"
//!     absolute = "8h"
//!     [environment.production.cap]
//!     idle = "30m"
//! "#;
//! let document = Document::parse(text).unwrap();
//! let declared = Declared::new(&[ADMIN]);
//! let policy = document.resolve(Some("production"), &declared, &PolicyBounds::new()).unwrap();
//! assert_eq!(policy.timeouts(ADMIN.code()).idle().as_secs(), 15 * 60);
//! ```
//!
//! # How a value is found
//!
//! Of the rules that set a limit, the most specific one decides: `environment.E.class.C`, then
//! `class.C`, `environment.E`, `limits`, and the default of the profile. Caps never change a value.
//! A value above a cap is refused.
//!
//! The crate does no IO.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bounds;
mod canonical;
mod chain;
mod declared;
mod diff;
mod document;
mod evidence;
mod explain;
mod node;
mod overlay;
mod problem;
mod profile;
mod read;
mod resolve;
mod schema;
mod table;
mod versions;

pub use self::{
    bounds::PolicyBounds,
    declared::Declared,
    diff::{Change, Direction},
    document::{Document, MAX_CLASSES, MAX_DEMANDS, MAX_DOCUMENT_BYTES},
    evidence::{Evidence, NOT_CLAIMED},
    explain::explain,
    overlay::{Overlay, Tightening},
    problem::{Against, InvalidDocument, Place, Problem},
    profile::{Level, Profile},
    resolve::{Resolved, Row},
    schema::JSON_SCHEMA,
    versions::{NextVersion, UnreadablePolicy, Version, Versions},
};
