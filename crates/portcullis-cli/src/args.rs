//! The command line.

use std::{
    ffi::OsString,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser},
};
use portcullis::{
    ConfigError, UserId,
    audit::EventKind,
    policy::EndsAtMost,
    session::SessionHandle,
    settings::{Environment, Realm},
};
use portcullis_core::policy::parse_length;

use crate::{
    commands,
    exit::{self, Failure},
    moment::Moment,
};

/// List, end and audit the sessions that an application stores in Redis with Portcullis.
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = exit::CODES)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the sessions are stored.
#[derive(Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct Connection {
    // The variables are read later. Otherwise clap shows an argument from the environment as
    // required in messages about others.
    /// The server's address; rediss:// uses TLS. Put an address with a password into the environment
    /// [env: REDIS_URL] [default: redis://127.0.0.1:6379].
    #[arg(long, global = true, value_name = "URL")]
    redis_url: Option<String>,
    /// The prefix of the application's keys [env: PORTCULLIS_PREFIX] [default: pc].
    #[arg(long, global = true, value_name = "PREFIX")]
    prefix: Option<String>,
    /// The realm of the sessions [env: PORTCULLIS_REALM] [default: the only registered realm].
    // The variable is read later: --all-realms on the command line overrides it.
    #[arg(long, global = true, value_name = "NAME", value_parser = realm)]
    pub(crate) realm: Option<Realm>,
    /// Run the command in each registered realm, in order of name.
    #[arg(long, global = true)]
    pub(crate) all_realms: bool,
    /// Trust only the certificate authorities in this PEM file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_certificate: Option<PathBuf>,
}

impl Connection {
    pub(crate) fn redis_url(&self) -> Result<String, Failure> {
        let url = given(self.redis_url.as_ref(), "REDIS_URL")?;
        Ok(url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned()))
    }

    pub(crate) fn prefix(&self) -> Result<String, Failure> {
        let prefix = given(self.prefix.as_ref(), "PORTCULLIS_PREFIX")?;
        Ok(prefix.unwrap_or_else(|| "pc".to_owned()))
    }
}

/// The value from the command line, or else from the environment.
fn given(argument: Option<&String>, variable: &str) -> Result<Option<String>, Failure> {
    if let Some(argument) = argument {
        return Ok(Some(argument.clone()));
    }
    std::env::var_os(variable)
        .map(OsString::into_string)
        .transpose()
        .map_err(|_| Failure::Usage(format!("the variable {variable} is not Unicode")))
}

/// The format of results.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// Print JSON: one document; for audit, and with --all-realms, one object per line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print times in full instead of relative to now.
    #[arg(long, global = true)]
    pub(crate) utc: bool,
}

/// The forms of the command. None allows the arguments of another.
const REVOCATIONS: &str = "\
portcullis revoke [OPTIONS] <USER> <HANDLE>
       portcullis revoke [OPTIONS] <USER> --all [--keep <HANDLE>]
       portcullis revoke [OPTIONS] --everybody";

/// For `revoke --help`.
const MARKERS: &str = "\
After all sessions of a user are revoked, sign-ins that began earlier are refused. A marker in the
store does this. It is kept for the longest absolute timeout that is registered for the realm, plus
an hour. If none is registered, it is kept for 400 days and an hour.";

/// For `suspend --help`.
const SUSPENSIONS: &str = "\
A suspension does not expire. It holds in one realm; use --all-realms if the user can sign in to
several. A user who is suspended already stays so, with the first reason, and sessions that are left
end.";

/// For `realms --help`.
const ENVIRONMENTS: &str = "\
After the environment of a realm was set, processes of the application that declare another one are
refused: at their start, and otherwise within the hour. The limits of the new environment hold for
all sessions of the realm.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the sessions of a user, the most recently used first.
    List(OfUser),
    /// List the users with live sessions, page by page.
    Users(Users),
    /// Count the live sessions, with users and without.
    Count,
    /// Show one session, and its last events.
    Show(ShowArguments),
    /// End one session of a user, all sessions of a user, or all sessions of all users.
    #[command(override_usage = REVOCATIONS, after_help = MARKERS)]
    Revoke(Revoke),
    /// Suspend a user: end all their sessions, and refuse sign-ins until they are resumed.
    #[command(after_help = SUSPENSIONS)]
    Suspend(Suspend),
    /// Let a suspended user sign in again. No session is revived.
    Resume(Resume),
    /// List the suspended users, page by page.
    Suspended(Suspended),
    /// List the sessions that seem to be used on another device.
    Flagged(Flagged),
    /// Read the log of session events, oldest first.
    Audit(Audit),
    /// List the realms that layers have registered, with their cookies, environments and classes.
    #[command(after_help = ENVIRONMENTS)]
    Realms(Realms),
    /// Check whether the server is safe for sessions. Writes nothing.
    Check(Check),
    /// Check, compare, explain and export policy documents. Uses no server.
    #[command(subcommand)]
    Policy(Policy),
    /// End many sessions at once, or all elevations, in an incident.
    #[command(subcommand)]
    Incident(Incident),
    /// Remove expired sessions now. A running application does this without the command.
    Sweep,
}

/// How users are named.
#[derive(Args, Clone, Copy)]
pub(crate) struct Naming {
    /// Read users as hexadecimal, two digits per byte, for names that cannot be typed.
    #[arg(long)]
    pub(crate) hex: bool,
}

impl Naming {
    /// The user that the argument names.
    fn read(self, given: &mut UserId) -> Result<(), Failure> {
        if self.hex {
            *given = from_hex(given.as_bytes()).ok_or_else(|| {
                Failure::Usage("with --hex, a user is an even number of hexadecimal digits".into())
            })?;
        }
        Ok(())
    }
}

fn from_hex(digits: &[u8]) -> Option<UserId> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16)?).ok();
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4) | digit(*low)?);
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.map(UserId::from)
}

impl Command {
    /// The command with its users decoded.
    pub(crate) fn with_users(mut self) -> Result<Self, Failure> {
        let (naming, user) = match &mut self {
            Self::List(whose) => (whose.naming, Some(&mut whose.user)),
            Self::Show(which) => (which.whose.naming, Some(&mut which.whose.user)),
            Self::Revoke(revoke) => (revoke.naming, revoke.user.as_mut()),
            Self::Audit(audit) => (audit.naming, audit.user.as_mut()),
            Self::Suspend(suspend) => (suspend.whose.naming, Some(&mut suspend.whose.user)),
            Self::Resume(resume) => (resume.whose.naming, Some(&mut resume.whose.user)),
            Self::Suspended(suspended) => (suspended.naming, suspended.after.as_mut()),
            Self::Users(users) => (users.naming, users.after.as_mut()),
            Self::Count
            | Self::Flagged(_)
            | Self::Realms(_)
            | Self::Check(_)
            | Self::Policy(_)
            | Self::Incident(_)
            | Self::Sweep => {
                return Ok(self);
            }
        };
        if let Some(user) = user {
            naming.read(user)?;
        }
        Ok(self)
    }
}

#[derive(Args)]
pub(crate) struct OfUser {
    /// The user, byte for byte as the application names it.
    #[arg(value_parser = users())]
    pub(crate) user: UserId,
    #[command(flatten)]
    naming: Naming,
}

#[derive(Args)]
pub(crate) struct Users {
    /// List the users after this user, which is the last one of the previous page.
    #[arg(long, value_name = "USER", value_parser = users())]
    pub(crate) after: Option<UserId>,
    /// List at most this many users.
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: NonZeroUsize,
    /// Read and show users as hexadecimal, two digits per byte.
    #[command(flatten)]
    pub(crate) naming: Naming,
}

#[derive(Args)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) whose: OfUser,
    /// The session's handle, as `list` shows it.
    #[arg(value_parser = handle, allow_hyphen_values = true)]
    pub(crate) handle: SessionHandle,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// The user, byte for byte as the application names it.
    #[arg(value_parser = users(), required_unless_present = "everybody")]
    pub(crate) user: Option<UserId>,
    /// The session's handle, as `list` shows it.
    #[arg(
        value_parser = handle,
        allow_hyphen_values = true,
        required_unless_present_any = ["all", "everybody", "keep"],
        conflicts_with_all = ["all", "keep"]
    )]
    pub(crate) handle: Option<SessionHandle>,
    /// End all sessions of the user, and refuse sign-ins that are in progress.
    #[arg(long)]
    pub(crate) all: bool,
    /// With --all: keep this session.
    #[arg(long, value_name = "HANDLE", value_parser = handle, allow_hyphen_values = true, requires = "all")]
    pub(crate) keep: Option<SessionHandle>,
    #[command(flatten)]
    naming: Naming,
    /// End all sessions of all users of the realm.
    #[arg(long, conflicts_with_all = ["user", "handle", "all", "keep"])]
    pub(crate) everybody: bool,
    /// End all sessions without a question. Required if there is no terminal.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Wait until this many replicas have the change.
    #[arg(long, value_name = "N")]
    pub(crate) confirm_replicas: Option<NonZeroU32>,
    #[command(flatten)]
    pub(crate) operator: Operator,
}

/// Who uses the tool.
#[derive(Args)]
pub(crate) struct Operator {
    /// The operator's name, for the log [default: $USER, or "operator"].
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    operator: Option<String>,
}

impl Operator {
    pub(crate) fn name(&self) -> String {
        let named = self.operator.clone();
        named
            .or_else(|| std::env::var("USER").ok().filter(|name| !name.is_empty()))
            .unwrap_or_else(|| "operator".to_owned())
    }
}

#[derive(Subcommand)]
pub(crate) enum Incident {
    /// End the sessions that meet every condition.
    End(IncidentEnd),
    /// End the elevations and approvals of all sessions. The sessions stay.
    DropElevations(IncidentOptions),
}

#[derive(Args)]
pub(crate) struct IncidentEnd {
    /// Only sessions of this class.
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// Only sessions whose user signed in longer ago than this, such as 12h.
    #[arg(long, value_name = "AGE", value_parser = parse_length)]
    pub(crate) older_than: Option<Duration>,
    /// Only sessions that seem to be used on another device.
    #[arg(long)]
    pub(crate) flagged: bool,
    /// Also sessions without a user.
    #[arg(long)]
    pub(crate) visitors: bool,
    #[command(flatten)]
    pub(crate) options: IncidentOptions,
}

impl IncidentEnd {
    pub(crate) fn has_no_condition(&self) -> bool {
        self.class.is_none() && self.older_than.is_none() && !self.flagged
    }
}

#[derive(Args)]
pub(crate) struct IncidentOptions {
    /// Count the sessions and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Go on without a question. Required if there is no terminal.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) operator: Operator,
}

#[derive(Args)]
pub(crate) struct Suspend {
    #[command(flatten)]
    pub(crate) whose: OfUser,
    /// Why, for operators. The user does not see it. At most 1024 bytes are kept.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: Option<String>,
    /// Only show which sessions would end.
    #[arg(long, conflicts_with = "confirm_replicas")]
    pub(crate) dry_run: bool,
    /// Wait until this many replicas have the change.
    #[arg(long, value_name = "N")]
    pub(crate) confirm_replicas: Option<NonZeroU32>,
    #[command(flatten)]
    pub(crate) operator: Operator,
}

#[derive(Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    pub(crate) whose: OfUser,
    #[command(flatten)]
    pub(crate) operator: Operator,
}

#[derive(Args)]
pub(crate) struct Suspended {
    /// List the users after this user, which is the last one of the previous page.
    #[arg(long, value_name = "USER", value_parser = users())]
    pub(crate) after: Option<UserId>,
    /// List at most this many users.
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: NonZeroUsize,
    #[command(flatten)]
    naming: Naming,
}

#[derive(Args)]
pub(crate) struct Flagged {
    /// Only sessions flagged since WHEN: an age (90s, 15m, 1h, 2d, 1w) or 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse, default_value = commands::FLAGGED_SINCE)]
    pub(crate) since: Moment,
}

#[derive(Args)]
pub(crate) struct Audit {
    /// Only events of this user.
    #[arg(long, value_parser = users())]
    pub(crate) user: Option<UserId>,
    #[command(flatten)]
    naming: Naming,
    /// Only events of this session.
    #[arg(long, value_name = "HANDLE", value_parser = handle, allow_hyphen_values = true)]
    pub(crate) session: Option<SessionHandle>,
    /// Only events since WHEN: an age (90s, 15m, 1h, 2d, 1w) or 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) since: Option<Moment>,
    /// Only events until WHEN, with the same forms as --since.
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse, conflicts_with = "follow")]
    pub(crate) until: Option<Moment>,
    /// Only events with this name. May be given more than once.
    #[arg(long, value_name = "NAME", value_parser = event_names())]
    pub(crate) event: Vec<String>,
    /// Only events with this detail: the reason of an end or of a suspension, the scope of an
    /// elevation, or what changed about the device.
    #[arg(long, value_name = "WORD")]
    pub(crate) reason: Option<String>,
    /// Only the newest N events.
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: NonZeroUsize,
    /// After these events, print new events until Ctrl-C.
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Args)]
pub(crate) struct Realms {
    /// Give the realm named by --realm another environment, after it was renamed or the store was
    /// copied.
    #[arg(long, value_name = "NAME", value_parser = environment)]
    pub(crate) dangerous_set_environment: Option<Environment>,
}

/// For `policy --help`: what is particular to these commands.
const POLICY_CODES: &str = "\
The tool cannot see code. It assumes that the application declares all classes and demands of the
document.

Exit codes:
  0   accepted; diff: no limit changes
  1   the document is refused: each problem says where and why;
      status: a process does not use the active version
  2   the command, or a file, cannot be used as it is
  3   not found: no such class or version, or no policy is active
  4   the store cannot be used
  6   the result could not be written
  10  diff, drift: some limits are tighter, and none is looser
  11  diff, drift: some limits are looser
  12  apply, rollback, tighten: another version is active than expected, or a tightening
      holds already; nothing was changed
  13  apply, rollback, tighten: it would end more sessions than it may; nothing was changed";

#[derive(Subcommand)]
#[command(after_help = POLICY_CODES)]
pub(crate) enum Policy {
    /// Check a document: its text, and every class in every environment.
    #[command(after_help = POLICY_CODES)]
    Check(PolicyCheck),
    /// List the limits that are tighter or looser in a newer document.
    #[command(after_help = POLICY_CODES)]
    Diff(PolicyDiff),
    /// Show why each limit has its value.
    #[command(after_help = POLICY_CODES)]
    Explain(PolicyExplain),
    /// Count how many live sessions a document would end now. Changes nothing.
    #[command(after_help = POLICY_CODES)]
    Plan(PolicyPlan),
    /// Activate a document in the store, for every process of a realm.
    #[command(after_help = POLICY_CODES)]
    Apply(PolicyApply),
    /// Tighten the active document for a time, for example in an incident.
    #[command(after_help = POLICY_CODES)]
    Tighten(PolicyTighten),
    /// Show the active version, and which process uses which.
    #[command(after_help = POLICY_CODES)]
    Status,
    /// List the versions that were activated.
    #[command(after_help = POLICY_CODES)]
    History,
    /// Activate the document of an earlier version again. It revives no session.
    #[command(name = "rollback", after_help = POLICY_CODES)]
    RollBack(PolicyRollBack),
    /// Compare the active document with one in a file.
    #[command(after_help = POLICY_CODES)]
    Drift(PolicyDrift),
    /// Print the canonical form, whose SHA-256 is the digest of the policy.
    #[command(after_help = POLICY_CODES)]
    Export(PolicyExport),
}

#[derive(Args)]
pub(crate) struct PolicyCheck {
    /// The document.
    pub(crate) file: PathBuf,
    /// Also check that the document names this environment.
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
}

#[derive(Args)]
pub(crate) struct PolicyDiff {
    /// The document in force.
    pub(crate) old: PathBuf,
    /// The newer document.
    pub(crate) new: PathBuf,
}

#[derive(Args)]
pub(crate) struct PolicyExplain {
    /// The document.
    pub(crate) file: PathBuf,
    /// Only in this environment.
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// Only this class.
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
}

#[derive(Args)]
pub(crate) struct PolicyPlan {
    /// The document.
    pub(crate) file: PathBuf,
    /// Count at least this many sessions instead of all, and print an interval.
    #[arg(long, value_name = "SESSIONS")]
    pub(crate) sample: Option<NonZeroU64>,
}

#[derive(Args)]
pub(crate) struct PolicyApply {
    /// The document.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) note: PolicyNote,
}

#[derive(Args)]
pub(crate) struct PolicyTighten {
    /// No idle timeout is longer than this, such as 5m.
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub(crate) idle: Option<Duration>,
    /// No absolute timeout is longer than this.
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub(crate) absolute: Option<Duration>,
    /// No privileged idle timeout is longer than this.
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub(crate) privileged_idle: Option<Duration>,
    /// No new elevation is longer than this.
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub(crate) elevation: Option<Duration>,
    /// For how long: 1m to 30d.
    #[arg(long = "for", value_name = "LENGTH", value_parser = parse_length, required_unless_present = "cancel")]
    pub(crate) lasts: Option<Duration>,
    /// End the tightening now. The document alone holds again.
    #[arg(long, conflicts_with_all = ["idle", "absolute", "privileged_idle", "elevation", "lasts"])]
    cancel: bool,
    /// Count how many sessions would end, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The version that must be active [default: whichever is].
    #[arg(long, value_name = "VERSION", value_parser = expected)]
    pub(crate) expect: Option<Expected>,
    #[command(flatten)]
    pub(crate) activation: Activation,
}

#[derive(Args)]
pub(crate) struct PolicyRollBack {
    /// The number of the version whose document is activated again.
    pub(crate) version: u64,
    #[command(flatten)]
    pub(crate) note: PolicyNote,
}

/// What must hold for an activation, and what the history says of it.
#[derive(Args)]
pub(crate) struct PolicyNote {
    /// The version that must be active: its number, or "none".
    #[arg(long, value_name = "VERSION", value_parser = expected)]
    pub(crate) expect: Expected,
    #[command(flatten)]
    pub(crate) activation: Activation,
}

/// How a version is activated.
#[derive(Args)]
pub(crate) struct Activation {
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who activates it, for the history [default: the name of the user].
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// How many sessions may end at once: a number, or "any" [default: a tenth of all].
    #[arg(long, value_name = "SESSIONS", value_parser = ends_at_most)]
    ends_at_most: Option<EndsAtMost>,
    /// Do not wait until the sessions have ended. Processes of the application end them.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

impl Activation {
    /// Who activates the version.
    pub(crate) fn by(&self) -> Result<String, Failure> {
        let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
        let by = self.by.clone().or_else(user);
        by.ok_or_else(|| Failure::Usage("say who activates it, with --by NAME".into()))
    }

    pub(crate) fn ends_at_most(&self) -> EndsAtMost {
        self.ends_at_most.unwrap_or_default()
    }
}

/// The version that must be active, or that none is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected(pub(crate) Option<u64>);

fn expected(text: &str) -> Result<Expected, &'static str> {
    match text {
        "none" => Ok(Expected(None)),
        number => match number.parse() {
            Ok(number) => Ok(Expected(Some(number))),
            Err(_) => Err("write the number of the active version, or none"),
        },
    }
}

fn ends_at_most(text: &str) -> Result<EndsAtMost, &'static str> {
    match text {
        "any" => Ok(EndsAtMost::Any),
        number => match number.parse() {
            Ok(number) => Ok(EndsAtMost::Sessions(number)),
            Err(_) => Err("write how many sessions may end, or any"),
        },
    }
}

#[derive(Args)]
pub(crate) struct PolicyDrift {
    /// The document that should be active.
    pub(crate) file: PathBuf,
}

#[derive(Args)]
pub(crate) struct PolicyExport {
    /// The document.
    pub(crate) file: PathBuf,
    /// For auditors: list each limit with value, clause and justification.
    #[arg(long)]
    pub(crate) evidence: bool,
}

#[derive(Args)]
pub(crate) struct Check {
    /// Treat warnings, and checks that could not run, as failures.
    #[arg(long)]
    pub(crate) strict: bool,
}

fn realm(name: &str) -> Result<Realm, ConfigError> {
    Realm::new(name)
}

fn environment(name: &str) -> Result<Environment, ConfigError> {
    Environment::new(name.to_owned())
}

fn users() -> impl TypedValueParser<Value = UserId> {
    OsStringValueParser::new().try_map(user)
}

/// File names, arguments and users are bytes.
#[cfg(unix)]
fn user(argument: OsString) -> Result<UserId, &'static str> {
    use std::os::unix::ffi::OsStringExt;

    match argument.into_vec() {
        bytes if bytes.is_empty() => Err("the name of a user cannot be empty"),
        bytes => Ok(UserId::from(bytes)),
    }
}

#[cfg(not(unix))]
fn user(argument: OsString) -> Result<UserId, &'static str> {
    match argument.into_string() {
        Ok(text) if text.is_empty() => Err("the name of a user cannot be empty"),
        Ok(text) => Ok(UserId::from(text)),
        Err(_) => Err("on this system, the name must be Unicode"),
    }
}

fn handle(text: &str) -> Result<SessionHandle, &'static str> {
    SessionHandle::parse(text)
        .ok_or("a handle has 16 characters: letters, digits, - and _; `list` shows it")
}

fn event_names() -> PossibleValuesParser {
    PossibleValuesParser::new(EventKind::names())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use portcullis::session::EndReason;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, clap::error::ErrorKind> {
        let all = ["portcullis"].iter().chain(arguments);
        CommandLine::try_parse_from(all)
            .map(|line| line.command)
            .map_err(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_handle_may_look_like_an_option() {
        for text in ["-hVabcdefghijklm", "--help-AAAAAAAAA", "-_-_-_-_-_-_-_-_"] {
            let wanted = SessionHandle::parse(text);
            assert!(wanted.is_some(), "{text}");
            let Ok(Command::Show(which)) = parse(&["show", "alice", text]) else {
                panic!("{text}")
            };
            assert_eq!(Some(which.handle), wanted);
            let Ok(Command::Revoke(revoke)) = parse(&["revoke", "alice", "--all", "--keep", text])
            else {
                panic!("{text}")
            };
            assert_eq!(revoke.keep, wanted);
            assert!(revoke.all);
            assert!(parse(&["audit", "--session", text]).is_ok());
        }
    }

    #[test]
    fn the_sessions_to_revoke_must_be_named_exactly_once() {
        use clap::error::ErrorKind::{ArgumentConflict, MissingRequiredArgument, ValueValidation};

        let handle = "AAAAAAAAAAAAAAAA";
        for (arguments, kind) in [
            (&["revoke", "alice"][..], MissingRequiredArgument),
            (&["revoke", "alice", handle, "--all"], ArgumentConflict),
            (
                &["revoke", "alice", "--keep", handle],
                MissingRequiredArgument,
            ),
            (
                &["revoke", "alice", handle, "--keep", handle],
                ArgumentConflict,
            ),
            (&["revoke", "alice", "--al"], ValueValidation),
            (&["revoke", "", "--all"], ValueValidation),
            (
                &["revoke", "alice", "--all", "--confirm-replicas", "0"],
                ValueValidation,
            ),
            (&["show", "alice", "short"], ValueValidation),
            (&["audit", "--limit", "0"], ValueValidation),
            (&["audit", "--follow", "--until", "1h"], ArgumentConflict),
        ] {
            assert_eq!(parse(arguments).err(), Some(kind), "{arguments:?}");
        }
        assert!(parse(&["revoke", "alice", handle]).is_ok());
        assert!(parse(&["revoke", "--all", "alice", "--yes"]).is_ok());
    }

    #[test]
    #[cfg(unix)]
    fn a_user_may_be_any_bytes() {
        use std::os::unix::ffi::OsStringExt;

        let bytes = b"\xff\xfe=\n".to_vec();
        for list in [
            vec![
                "portcullis".into(),
                "list".into(),
                OsString::from_vec(bytes.clone()),
            ],
            vec![
                "portcullis".into(),
                "list".into(),
                "--".into(),
                OsString::from_vec(bytes.clone()),
            ],
        ] {
            let Ok(line) = CommandLine::try_parse_from(list) else {
                panic!("not understood")
            };
            let Command::List(whose) = line.command else {
                panic!("another command")
            };
            assert_eq!(whose.user.as_bytes(), bytes);
        }
        let Ok(Command::List(whose)) = parse(&["list", "--", "--json"]) else {
            panic!("not understood")
        };
        assert_eq!(whose.user, UserId::from("--json"));
    }

    /// Neither asks for what another forbids.
    #[test]
    fn a_session_to_keep_without_all_is_refused_with_what_is_missing() {
        let line = ["portcullis", "revoke", "1", "--keep", "AAAAAAAAAAAAAAAA"];
        let Err(error) = CommandLine::try_parse_from(line) else {
            panic!("understood")
        };
        let text = error.to_string();
        assert!(text.contains("not provided:\n  --all\n"), "{text}");
        assert!(!text.contains("[HANDLE]"), "{text}");
    }

    #[test]
    fn a_user_that_cannot_be_typed_is_given_in_hexadecimal() {
        for (given, bytes) in [
            ("fffe", Some(&b"\xff\xfe"[..])),
            ("616C696365", Some(b"alice")),
            ("0a", Some(b"\n")),
            ("f", None),
            ("fg", None),
            ("+f", None),
            ("alice", None),
        ] {
            let Ok(command) = parse(&["list", "--hex", given]) else {
                panic!("not understood")
            };
            match command.with_users() {
                Ok(Command::List(whose)) => assert_eq!(Some(whose.user.as_bytes()), bytes),
                _ => assert_eq!(bytes, None, "{given}"),
            }
        }
        let Ok(Ok(Command::List(whose))) = parse(&["list", "fffe"]).map(Command::with_users) else {
            panic!("not understood")
        };
        assert_eq!(whose.user, UserId::from("fffe"));
    }

    #[test]
    fn every_reason_a_session_ends_for_can_be_asked_for() {
        for reason in EndReason::ALL {
            assert!(parse(&["audit", "--reason", reason.as_str()]).is_ok());
        }
        assert!(
            parse(&[
                "audit",
                "--event",
                "session_expired",
                "--event",
                "authz_fail"
            ])
            .is_ok()
        );
        assert!(parse(&["audit", "--event", "session_expird"]).is_err());
    }
}
