//! axum and one command of Redis per request: what the bare round trip costs with a client library,
//! beside which everything else stands.
//!
//! The script does next to nothing, but takes as many keys and arguments as that of a write by
//! Portcullis.

pub(super) mod fred;
#[cfg(feature = "peers")]
pub(super) mod redis_rs;

use axum::http::StatusCode;

use super::{Settings, ignored, proof};
use crate::case::PAYLOAD_BYTES;

/// As long as the key of a session.
const KEY: &str = "pc:{512}:s:AAAAAAAAAAAAAAAAAAAAAA";
/// What a record of Portcullis holds beside the payload.
const BESIDE_PAYLOAD: usize = 76;

const SCRIPT: &str = "return {1, redis.call('INCR', KEYS[1]), #KEYS, #ARGV, 5}";

fn keys() -> Vec<&'static str> {
    vec![
        "pc:{512}counter",
        "pc:{512}:x",
        "pc:{512}:l",
        "pc:{512}:uAAAAAAAAAAAAAAAA",
        "pc:{512}:eAAAAAAAAAAAAAAAA",
    ]
}

fn arguments() -> Vec<String> {
    let mut arguments: Vec<_> = ["0a1b2c3d", "0a1b2c3e", "1"].map(str::to_owned).into();
    arguments.push("-".repeat(PAYLOAD_BYTES + BESIDE_PAYLOAD));
    let rest = [
        "digest of a session and name",
        "ada",
        "1763727600000",
        "60000",
        "1000",
    ];
    arguments.extend(rest.map(str::to_owned));
    arguments
}

fn value(payload: &str) -> String {
    format!("{payload}{}", "-".repeat(BESIDE_PAYLOAD))
}

fn proof_of(value: &str) -> String {
    proof(value.get(..PAYLOAD_BYTES).unwrap_or_default())
}

fn failed<E>(_: E) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
