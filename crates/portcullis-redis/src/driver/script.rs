//! Lua scripts.

use std::sync::OnceLock;

use fred::util::sha1_hash;

/// A script and its SHA-1, by which the server finds it.
pub(crate) struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    pub(crate) const fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: OnceLock::new(),
        }
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    pub(super) fn hash(&self) -> &str {
        self.hash.get_or_init(|| sha1_hash(self.source))
    }
}
