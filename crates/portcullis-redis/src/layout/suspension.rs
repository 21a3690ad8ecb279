//! How the suspension of a user is stored. `lua/prelude.lua` describes it.

use bytes::Bytes;
use portcullis_core::{Note, Timestamp, UserId, store::Suspension};

/// Where the note begins: after the format, the moment, the code and the length of the note.
const NOTE: usize = 1 + 11 + 1 + 8;

/// Reads the suspension of a user. `None` if a later version wrote it.
pub(crate) fn read(user: UserId, stored: &Bytes) -> Option<Suspension> {
    let (head, rest) = stored.split_at_checked(NOTE)?;
    let (since, code_and_length) = head.strip_prefix(b"1")?.split_at_checked(11)?;
    let (note, reason) = rest.split_at_checked(hex(code_and_length.get(1..)?)?.try_into().ok()?)?;
    let reason = String::from_utf8_lossy(reason);
    Some(Suspension {
        user,
        since: Timestamp::from_millis(hex(since)?),
        actor: Note::decode(note).map(|note| note.actor),
        reason: (!reason.is_empty()).then(|| reason.into_owned()),
    })
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use portcullis_core::{Actor, store::Suspend};

    use super::*;

    fn stored(reason: &str) -> Bytes {
        let (user, actor) = (UserId::from("alice"), Actor::Operator("ops".into()));
        let note = Suspend::new(&user, &actor).note_of_end().encode();
        let mut stored = format!("10000000012cp{:08x}", note.len()).into_bytes();
        stored.extend_from_slice(&note);
        stored.extend_from_slice(reason.as_bytes());
        stored.into()
    }

    #[test]
    fn a_suspension_has_a_moment_an_operator_and_perhaps_a_reason() {
        for (text, reason) in [
            ("", None),
            ("stolen laptop", Some("stolen laptop".to_owned())),
        ] {
            let expected = Suspension {
                user: "alice".into(),
                since: Timestamp::from_millis(300),
                actor: Some(Actor::Operator("ops".into())),
                reason,
            };
            assert_eq!(read("alice".into(), &stored(text)), Some(expected));
        }
    }

    #[test]
    fn a_suspension_that_is_cut_or_of_a_later_format_is_not_read() {
        let whole = stored("");
        for end in 0..whole.len() {
            assert_eq!(read("alice".into(), &whole.slice(..end)), None);
        }
        let mut later = whole.to_vec();
        later[0] = b'2';
        assert_eq!(read("alice".into(), &later.into()), None);
    }
}
