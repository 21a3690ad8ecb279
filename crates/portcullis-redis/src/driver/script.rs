//! The Lua scripts, embedded.

use std::sync::LazyLock;

use fred::util::sha1_hash;

/// A script and its SHA-1, by which the server finds it.
pub(crate) struct Script {
    source: &'static str,
    hash: LazyLock<String>,
}

macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        #[doc = concat!($("`lua/", $file, "` "),+)]
        pub(crate) static $name: Script = Script {
            source: concat!(
                include_str!("../../lua/prelude.lua"),
                $(include_str!(concat!("../../lua/", $file))),+
            ),
            hash: LazyLock::new(|| sha1_hash($name.source)),
        };
    };
}

script!(CREATE, "displaced.lua", "create.lua");
script!(COMMIT, "commit.lua");
script!(REPLACE, "displaced.lua", "replace.lua");
script!(SUPERSEDE, "supersede.lua");
script!(TOUCH, "touch.lua");
script!(END, "end.lua");
script!(SET_MARKER, "set_marker.lua");
script!(FIND_UNLISTED, "find_unlisted.lua");
script!(REVOKE, "revoke.lua");
script!(EXPIRE_DUE, "expire_due.lua");
script!(REGISTER, "register.lua");
script!(OBSERVE, "observe.lua");
script!(OVERDUE, "overdue.lua");
script!(COUNT, "count.lua");

impl Script {
    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}
