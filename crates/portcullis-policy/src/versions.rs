//! The versions of a realm's policy, as a store keeps them.

use std::{collections::BTreeMap, fmt, time::Duration};

use portcullis_core::{
    ClassCode, Policy, Timestamp, debug_as_message, millis,
    policy::{ClassLimits, PolicyVersion, Thresholds},
    store::{Limits, RegisteredClass, StoredPolicy},
};
use serde::{Deserialize, Serialize};

use crate::{
    bounds::PolicyBounds,
    declared::Declared,
    document::Document,
    overlay::{Overlay, StoredOverlay},
    problem::{InvalidDocument, Problem},
};

/// Of how many versions the text of the document is kept.
const TEXTS: usize = 64;

/// How long after its end a version can still matter: no session lives longer.
const KEPT_FOR: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The most versions that are kept.
const MOST: usize = 512;

/// The longest name of who activates a version, and the longest reason. In bytes.
const MAX_NOTE: usize = 200;

/// The versions of a realm's policy, the active one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions(Vec<Version>);

/// A version of a realm's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// Its number.
    pub number: u64,
    /// When it was activated, on the store's clock.
    pub since: Timestamp,
    /// Who activated it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// The [digest](Document::digest) of the document.
    pub digest: String,
    /// The text of the document. `None` for a version so old that the text is no longer kept.
    pub text: Option<String>,
    /// What it tightens the document to, and until when.
    pub overlay: Option<Overlay>,
    /// The limits of the document alone.
    limits: PolicyVersion,
}

/// A version that is to be activated.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "each field is needed")]
pub struct NextVersion<'a> {
    /// The text of the document.
    pub text: &'a str,
    /// Who activates it: 1 to 200 bytes.
    pub by: &'a str,
    /// Why: at most 200 bytes.
    pub reason: Option<&'a str>,
    /// The environment of the realm.
    pub environment: Option<&'a str>,
    /// The classes of the realm, as its processes have registered them.
    pub classes: &'a [RegisteredClass],
    /// What it tightens the document to, and until when.
    pub overlay: Option<Overlay>,
}

/// What a store has is not a policy that this version can read.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the active policy cannot be read: {0}; finish the upgrade of this server, or activate the policy again"
)]
pub struct UnreadablePolicy(String);

impl fmt::Debug for UnreadablePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as_message(self, f)
    }
}

impl Versions {
    /// The versions that a store has.
    ///
    /// # Errors
    ///
    /// [`UnreadablePolicy`] for the content of a later version, or one that is damaged.
    pub fn read(stored: &StoredPolicy) -> Result<Self, UnreadablePolicy> {
        let content: Content = serde_json::from_slice(&stored.content)
            .map_err(|error| UnreadablePolicy(error.to_string()))?;
        if content.schema != 1 {
            let schema = content.schema;
            return Err(UnreadablePolicy(format!("it has the schema {schema}")));
        }
        let active = content
            .active
            .version(stored.number, stored.since)
            .ok_or_else(|| UnreadablePolicy("a limit is damaged".into()))?;
        let before = content.before.into_iter();
        let before = before.map(
            |Before {
                 number,
                 since,
                 entry,
             }| { entry.version(number, Timestamp::from_millis(since)) },
        );
        let versions = std::iter::once(Some(active)).chain(before);
        let versions: Option<_> = versions.collect();
        versions
            .map(Self)
            .ok_or_else(|| UnreadablePolicy("a limit is damaged".into()))
    }

    /// The active version.
    pub fn active(&self) -> Option<&Version> {
        self.0.first()
    }

    /// All that are kept, the active one first.
    pub fn all(&self) -> &[Version] {
        &self.0
    }

    /// The version with this number, if it is kept.
    pub fn version(&self, number: u64) -> Option<&Version> {
        self.0.iter().find(|version| version.number == number)
    }

    /// The limits of all versions up to `now`, the oldest first, by which sessions are judged. The
    /// end of an overlay is a version too, with the number of the one that it belongs to.
    pub fn history(&self, now: Timestamp) -> Vec<PolicyVersion> {
        let mut history = self.spans();
        history.retain(|version| version.since <= now);
        history
    }

    /// The version that follows the last one of the [history](Self::history) by itself: the end of
    /// an overlay that is in force.
    pub fn next(&self, now: Timestamp) -> Option<PolicyVersion> {
        self.spans().into_iter().find(|version| now < version.since)
    }

    fn spans(&self) -> Vec<PolicyVersion> {
        let mut history = Vec::with_capacity(self.0.len());
        let mut versions = self.0.iter().rev().peekable();
        while let Some(version) = versions.next() {
            let next = versions.peek().map(|next| next.since);
            let overlay = version.overlay.as_ref();
            let in_force = overlay.filter(|overlay| overlay.is_in_force(version.since));
            let Some(overlay) = in_force else {
                history.push(version.limits.clone());
                continue;
            };
            history.push(version.limits.tightened(&overlay.limits));
            if next.is_none_or(|next| overlay.until < next) {
                history.push(PolicyVersion {
                    since: overlay.until,
                    ..version.limits.clone()
                });
            }
        }
        history
    }

    /// The overlay of the active version, if it holds at this moment.
    pub fn overlay(&self, now: Timestamp) -> Option<&Overlay> {
        let overlay = self.active()?.overlay.as_ref();
        overlay.filter(|overlay| overlay.is_in_force(now))
    }

    /// The policy of a process in this environment at this moment, with all versions.
    ///
    /// # Errors
    ///
    /// All that is wrong with the active document for this process.
    pub fn resolve(
        &self,
        environment: Option<&str>,
        declared: &Declared<'_>,
        bounds: &PolicyBounds,
        now: Timestamp,
    ) -> Result<Policy, InvalidDocument> {
        let text = self.active().and_then(|active| active.text.as_deref());
        let document = Document::parse(text.unwrap_or_default())?;
        let mut policy = document
            .resolve(environment, declared, bounds)
            .map_err(InvalidDocument::new)?;
        // Of the versions in force from now on, this process judges by its own classes.
        let next = self.next(now);
        policy.next_version = next.map(|it| PolicyVersion::new(&policy, it.number, it.since));
        if let Some(overlay) = self.overlay(now) {
            policy = policy.tightened(&overlay.limits);
        }
        policy.versions = self.history(now);
        if let Some(last) = policy.versions.pop() {
            let own = PolicyVersion::new(&policy, last.number, last.since);
            policy.versions.push(own);
        }
        Ok(policy)
    }

    /// What a store has to keep so that `next` becomes the active version, at `now`. The versions
    /// before it stay, as far as a session can depend on them.
    ///
    /// # Errors
    ///
    /// All that is wrong with the document or the notes.
    pub fn content_with(
        before: Option<&Self>,
        next: NextVersion<'_>,
        now: Timestamp,
    ) -> Result<Vec<u8>, InvalidDocument> {
        let document = Document::parse(next.text)?;
        let mut problems: Vec<_> = document
            .wrong_environment(next.environment)
            .into_iter()
            .chain(wrong_note("by", next.by, 1))
            .chain(wrong_note("reason", next.reason.unwrap_or_default(), 0))
            .collect();
        let resolved = match document.resolve_all(&PolicyBounds::new()) {
            Ok(resolved) if problems.is_empty() => resolved,
            Ok(_) => return Err(InvalidDocument::new(problems)),
            Err(more) => {
                problems.extend(more);
                return Err(InvalidDocument::new(problems));
            }
        };
        let of = |class: Option<&str>| resolved.limits(next.environment, class);
        let classes = next.classes.iter();
        let named = document.classes().collect::<Vec<_>>();
        let classes = classes.filter(|class| named.contains(&&*class.name));
        let classes = classes.filter_map(|class| Some((class.code, of(Some(&class.name))?)));
        let limits = StoredLimits::new(of(None), classes, resolved.flagged.idle);
        let active = Entry {
            by: next.by.to_owned(),
            reason: next.reason.map(str::to_owned),
            digest: document.digest(),
            text: Some(next.text.to_owned()),
            limits,
            overlay: next.overlay.as_ref().map(StoredOverlay::from),
        };
        let content = Content {
            schema: 1,
            active,
            before: before.map(|before| before.kept(now)).unwrap_or_default(),
        };
        // These types have no value that JSON lacks.
        Ok(serde_json::to_vec(&content).unwrap_or_default())
    }

    fn kept(&self, now: Timestamp) -> Vec<Before> {
        let mut ended = now;
        let versions = self.0.iter().take(MOST).take_while(|version| {
            let matters = now < ended.after(KEPT_FOR);
            ended = version.since;
            matters
        });
        let versions = versions.enumerate().map(|(place, version)| Before {
            number: version.number,
            since: version.since.as_millis(),
            entry: Entry {
                by: version.by.clone(),
                reason: version.reason.clone(),
                digest: version.digest.clone(),
                text: version.text.clone().filter(|_| place + 1 < TEXTS),
                limits: StoredLimits::of(&version.limits),
                overlay: version.overlay.as_ref().map(StoredOverlay::from),
            },
        });
        versions.collect()
    }
}

/// What is wrong with a note for people.
fn wrong_note(path: &str, note: &str, shortest: usize) -> Option<Problem> {
    let is_valid = (shortest..=MAX_NOTE).contains(&note.len()) && !note.contains(char::is_control);
    let reason = format!("it must have {shortest} to {MAX_NOTE} bytes, on one line");
    (!is_valid).then(|| Problem::new(path, reason))
}

/// The content of a stored policy.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    schema: u32,
    active: Entry,
    /// The newest first.
    before: Vec<Before>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    number: u64,
    since: u64,
    entry: Entry,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    by: String,
    reason: Option<String>,
    digest: String,
    text: Option<String>,
    limits: StoredLimits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overlay: Option<StoredOverlay>,
}

/// The limits of a version. All lengths are in milliseconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLimits {
    ordinary: StoredThresholds,
    /// By the character of the class.
    classes: BTreeMap<char, StoredThresholds>,
    flagged_idle: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredThresholds {
    idle: u64,
    absolute: u64,
    privileged_idle: u64,
    remembered: Option<(u64, u64)>,
}

impl Entry {
    fn version(self, number: u64, since: Timestamp) -> Option<Version> {
        let classes = self.limits.classes.iter();
        let classes =
            classes.map(|(code, limits)| Some((ClassCode::from_char(*code)?, limits.thresholds())));
        Some(Version {
            number,
            since,
            by: self.by,
            reason: self.reason,
            digest: self.digest,
            text: self.text,
            overlay: match self.overlay {
                Some(overlay) => Some(overlay.read()?),
                None => None,
            },
            limits: PolicyVersion {
                number,
                since,
                ordinary: self.limits.ordinary.thresholds(),
                classes: classes.collect::<Option<_>>()?,
                flagged_idle: self.limits.flagged_idle.map(Duration::from_millis),
            },
        })
    }
}

impl StoredLimits {
    fn new<'l>(
        ordinary: Option<&ClassLimits>,
        classes: impl Iterator<Item = (ClassCode, &'l ClassLimits)>,
        flagged_idle: Option<Duration>,
    ) -> Self {
        let ordinary = ordinary.cloned().unwrap_or_default();
        Self {
            ordinary: StoredThresholds::of(&Thresholds::from(&ordinary)),
            classes: classes
                .map(|(code, limits)| {
                    let thresholds = Thresholds::from(limits);
                    (code.as_char(), StoredThresholds::of(&thresholds))
                })
                .collect(),
            flagged_idle: flagged_idle.map(millis),
        }
    }

    fn of(version: &PolicyVersion) -> Self {
        let classes = version.classes.iter();
        Self {
            ordinary: StoredThresholds::of(&version.ordinary),
            classes: classes
                .map(|(code, limits)| (code.as_char(), StoredThresholds::of(limits)))
                .collect(),
            flagged_idle: version.flagged_idle.map(millis),
        }
    }
}

impl StoredThresholds {
    fn of(thresholds: &Thresholds) -> Self {
        let lengths = |limits: Limits| (millis(limits.idle), millis(limits.absolute));
        let (idle, absolute) = lengths(thresholds.ordinary);
        Self {
            idle,
            absolute,
            privileged_idle: millis(thresholds.privileged_idle),
            remembered: thresholds.remembered.map(lengths),
        }
    }

    fn thresholds(&self) -> Thresholds {
        let limits = |(idle, absolute)| Limits {
            idle: Duration::from_millis(idle),
            absolute: Duration::from_millis(absolute),
        };
        Thresholds {
            ordinary: limits((self.idle, self.absolute)),
            remembered: self.remembered.map(limits),
            privileged_idle: Duration::from_millis(self.privileged_idle),
        }
    }
}
