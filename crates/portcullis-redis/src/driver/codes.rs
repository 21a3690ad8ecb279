//! Error codes of Redis, and the store errors they become.

use portcullis_core::store::StoreErrorKind::{self, Full, Misconfigured, ReadOnly, Unavailable};

/// An error code with a meaning of its own.
pub(super) struct Code {
    pub(super) word: &'static str,
    pub(super) kind: StoreErrorKind,
    /// What happened, and what to do.
    pub(super) message: &'static str,
}

const fn code(word: &'static str, kind: StoreErrorKind, message: &'static str) -> Code {
    Code {
        word,
        kind,
        message,
    }
}

const CLUSTER: &str = "this is a node of a Redis Cluster; write redis-cluster:// in the address";

/// The text after each of these codes is fixed and holds no key and no value. `ERR` and `WRONGTYPE`
/// are the exceptions.
pub(super) const CODES: [Code; 19] = [
    code(
        "LOADING",
        Unavailable,
        "Redis is still loading its data; try again shortly",
    ),
    code(
        "CLUSTERDOWN",
        Unavailable,
        "the Redis Cluster is down; check its nodes",
    ),
    code(
        "TRYAGAIN",
        Unavailable,
        "Redis is moving the data; try again shortly",
    ),
    code(
        "MASTERDOWN",
        Unavailable,
        "this Redis replica has lost its primary; check the primary",
    ),
    code(
        "BUSY",
        Unavailable,
        "Redis is busy with a script that takes too long; find out which application runs it",
    ),
    code(
        "READONLY",
        ReadOnly,
        "Redis takes no writes because it is a replica; point the address at the primary",
    ),
    code(
        "NOREPLICAS",
        ReadOnly,
        "Redis takes no writes because it has too few replicas; check them, or \
         min-replicas-to-write",
    ),
    code(
        "MISCONF",
        ReadOnly,
        "Redis takes no writes because it cannot save to disk; check its log and its disk",
    ),
    code(
        "OOM",
        Full,
        "Redis is out of memory and takes no new session; raise maxmemory",
    ),
    code(
        "NOPERM",
        Misconfigured,
        "Redis refuses a command this user has no right to; grant what the README of \
         portcullis-redis lists",
    ),
    code(
        "NOAUTH",
        Misconfigured,
        "Redis asks for a password; put it into the address",
    ),
    code(
        "WRONGPASS",
        Misconfigured,
        "Redis refuses the user or the password; correct them in the address",
    ),
    code("MOVED", Misconfigured, CLUSTER),
    code("ASK", Misconfigured, CLUSTER),
    code("CROSSSLOT", Misconfigured, CLUSTER),
    code(
        "NOPROTO",
        Misconfigured,
        "this server does not speak the protocol of Redis 6.2; use one that does",
    ),
    code(
        "WRONGTYPE",
        Misconfigured,
        "a session's key holds a value of another kind; do not share the key prefix",
    ),
    code(
        "NOSCRIPT",
        Misconfigured,
        "Redis does not cache scripts; use a server that supports EVAL",
    ),
    code(
        "ERR",
        Misconfigured,
        "Redis refused a command of portcullis-redis; use Redis 6.2 or later, or a server compatible \
         with it",
    ),
];
