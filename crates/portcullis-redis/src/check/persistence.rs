//! Judges what survives a restart or a crash, of sessions and of their ends.

use super::{
    facts::{Fact, Facts},
    finding::Ruling,
};
use crate::info::Info;

/// The setting is changed while the server runs. A server that starts with it in its configuration
/// file does not load what is only in a snapshot.
const APPEND: &str = "CONFIG SET appendonly yes, then CONFIG REWRITE";

pub(super) fn persistence(facts: &Facts) -> Fact<Ruling> {
    let info = facts.info()?;
    let appends = facts.value("aof_enabled")? == "1";
    if info.is("loading", "1") {
        return Ok(Ruling::broken(
            "it is still loading its data, and executes no commands before it has finished",
            "wait, then check again",
        ));
    }
    if let Some(failed) = failed(info, appends, facts) {
        return Ok(failed);
    }
    Ok(if appends {
        appending(facts)
    } else {
        snapshots(info, facts)
    })
}

/// A write to disk that failed.
fn failed(info: Info<'_>, appends: bool, facts: &Facts) -> Option<Ruling> {
    const REMEDY: &str = "check its log, its disk and the permissions of its directory";
    let error = |name| info.get(name).is_some_and(|status| status != "ok");
    if appends && error("aof_last_write_status") {
        return Some(Ruling::broken(
            "its append-only file cannot be written, so it accepts no writes",
            REMEDY,
        ));
    }
    // Without scheduled snapshots, one that was requested and failed stops no writes.
    if error("rdb_last_bgsave_status") && facts.config("save") != Ok("") {
        return Some(if facts.config("stop-writes-on-bgsave-error") == Ok("no") {
            Ruling::warning(
                "its last snapshot failed; it still accepts writes (stop-writes-on-bgsave-error no)",
                REMEDY,
            )
        } else {
            Ruling::broken(
                "its last snapshot failed, so it accepts no writes (stop-writes-on-bgsave-error)",
                REMEDY,
            )
        });
    }
    if appends && error("aof_last_bgrewrite_status") {
        return Some(Ruling::warning(
            "its append-only file could not be rewritten, so it grows until the disk is full",
            REMEDY,
        ));
    }
    None
}

fn appending(facts: &Facts) -> Ruling {
    match facts.config("appendfsync") {
        Ok("always") => {
            Ruling::fine("append-only file, written to disk with every change (appendfsync always)")
        }
        Ok("everysec") => Ruling::fine(
            "append-only file, written to disk every second (appendfsync everysec): a crash of the \
             machine undoes about the last second at most, including ends of sessions and suspensions",
        ),
        Ok(other) => Ruling::warning(
            format!(
                "append-only file, written to disk when the system chooses (appendfsync {other}): a \
                 crash of the machine can undo half a minute: sessions that ended then are live again, and \
                 users who were suspended then can sign in"
            ),
            "CONFIG SET appendfsync everysec, then CONFIG REWRITE",
        ),
        Err(withheld) => Ruling::withheld(
            "append-only file; it is not known how often it is written to disk",
            withheld,
            facts,
        ),
    }
}

/// Without an append-only file.
fn snapshots(info: Info<'_>, facts: &Facts) -> Ruling {
    let unsaved = match info.number("rdb_changes_since_last_save") {
        Some(changes) => format!("changes since the last one: {changes}"),
        None => "the number of changes since the last one is not known".to_owned(),
    };
    let undone = "a crash undoes the changes since then, so ended sessions are live again until \
                  their deadlines, and suspended users can sign in";
    match facts.config("save") {
        Ok("") => Ruling::warning(
            "nothing is stored on disk: a restart signs all users out, restores no ended session, and \
             forgets which users are suspended",
            format!("to keep sessions and suspensions over a restart: {APPEND}"),
        ),
        Ok(when) => Ruling::warning(
            format!("snapshots only (save {when}; {unsaved}): {undone}"),
            APPEND,
        ),
        Err(_) => Ruling::warning(
            format!(
                "no append-only file. Without snapshots, a restart signs all users out and forgets \
                 which users are suspended; with snapshots ({unsaved}), {undone}"
            ),
            APPEND,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            facts::{Withheld, healthy},
            finding::{Finding, Subject, Verdict},
        },
        *,
    };

    fn found(facts: &Facts) -> Finding {
        persistence(facts)
            .unwrap_or_else(|_| panic!("no answer"))
            .about(Subject::Persistence)
    }

    fn not_appending() -> Facts {
        healthy().with(&[("aof_enabled", "0")])
    }

    const FORBIDDEN: Fact<&str> = Err(Withheld::Forbidden("+config|get"));

    #[test]
    fn an_append_only_file_is_judged_by_how_often_it_is_written() {
        for (fsync, verdict) in [
            ("always", Verdict::Fine),
            ("everysec", Verdict::Fine),
            ("no", Verdict::Warning),
        ] {
            let finding = found(&healthy().set("appendfsync", Ok(fsync)));
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.message.contains(fsync), "{finding:?}");
        }
        let finding = found(&healthy().set("appendfsync", FORBIDDEN));
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert!(
            finding.message.starts_with("append-only file"),
            "{finding:?}"
        );
        assert!(
            finding
                .remedy
                .unwrap()
                .ends_with("ACL SETUSER app +config|get")
        );
    }

    #[test]
    fn without_an_append_only_file_ends_can_be_undone_or_all_users_are_signed_out() {
        let none = found(&not_appending());
        assert_eq!(none.verdict, Verdict::Warning);
        assert!(none.message.contains("signs all users out"), "{none:?}");
        let snapshots = found(&not_appending().set("save", Ok("3600 1")));
        assert_eq!(snapshots.verdict, Verdict::Warning);
        assert!(snapshots.message.contains("save 3600 1"), "{snapshots:?}");
        assert!(snapshots.message.contains("one: 12"), "{snapshots:?}");
        assert!(snapshots.message.contains("live again"), "{snapshots:?}");
    }

    #[test]
    fn what_becomes_of_suspensions_is_named() {
        let loses = |facts: &Facts| found(facts).message;
        assert!(loses(&not_appending()).contains("forgets which users are suspended"));
        let snapshots = not_appending().set("save", Ok("3600 1"));
        assert!(loses(&snapshots).contains("suspended users can sign in"));
        for fsync in ["everysec", "no"] {
            let appending = healthy().set("appendfsync", Ok(fsync));
            assert!(loses(&appending).contains("suspen"), "{fsync}");
        }
        let always = healthy().set("appendfsync", Ok("always"));
        assert!(!loses(&always).contains("suspen"));
    }

    #[test]
    fn without_the_right_to_read_settings_both_cases_are_named() {
        let finding = found(&not_appending().set("save", FORBIDDEN));
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(
            finding.message.contains("signs all users out"),
            "{finding:?}"
        );
        assert!(finding.message.contains("live again"), "{finding:?}");
    }

    #[test]
    fn a_failed_snapshot_is_broken_if_it_stops_writes() {
        let failed = || healthy().with(&[("rdb_last_bgsave_status", "err")]);
        let scheduled = || failed().set("save", Ok("60 1"));
        assert_eq!(found(&scheduled()).verdict, Verdict::Broken);
        let ignored = scheduled().set("stop-writes-on-bgsave-error", Ok("no"));
        assert_eq!(found(&ignored).verdict, Verdict::Warning);
        assert_eq!(found(&failed()).verdict, Verdict::Fine);
        let unknown = failed()
            .set("save", FORBIDDEN)
            .set("stop-writes-on-bgsave-error", FORBIDDEN);
        assert_eq!(found(&unknown).verdict, Verdict::Broken);
    }

    #[test]
    fn an_append_only_file_that_cannot_be_written_is_broken_if_there_is_one() {
        let failed = [("aof_last_write_status", "err")];
        assert_eq!(found(&healthy().with(&failed)).verdict, Verdict::Broken);
        let off = not_appending().with(&failed);
        assert_eq!(found(&off).verdict, Verdict::Warning);
        let grows = healthy().with(&[("aof_last_bgrewrite_status", "err")]);
        assert_eq!(found(&grows).verdict, Verdict::Warning);
    }

    #[test]
    fn a_server_that_is_still_loading_is_broken() {
        let loading = healthy().with(&[("loading", "1")]);
        assert_eq!(found(&loading).verdict, Verdict::Broken);
    }
}
