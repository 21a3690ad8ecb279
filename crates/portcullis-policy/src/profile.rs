//! Profiles: the limits of a standard, and how far a document may go beyond them.

use std::{fmt, time::Duration};

use portcullis_core::policy::{LimitName, LimitValue};

/// A named set of limits: defaults, the values above which a justification is wanted, and the
/// values above which a document is refused.
///
/// ```
/// # use portcullis_policy::Profile;
/// assert_eq!(Profile::default().name(), "standard");
/// assert_eq!(Profile::of("aal2"), Some(Profile::Aal2));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Web applications in general.
    #[default]
    Standard,
    /// Workstations and internal tools, where people read and think for long.
    Developer,
    /// NIST SP 800-63B-4, authentication assurance level 1: accounts of little risk.
    Aal1,
    /// NIST SP 800-63B-4, authentication assurance level 2.
    Aal2,
    /// NIST SP 800-63B-4, authentication assurance level 3.
    Aal3,
    /// PCI DSS 4.0.1: access to card data.
    Pci,
    /// OWASP: applications of high value.
    High,
    /// RFC 10017: a backend that keeps the tokens of a browser application.
    Bff,
    /// DISA, Application Security and Development STIG.
    Stig,
}

/// What a profile says of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Level {
    /// The value where the document sets none. `None`: sign-ins are not remembered.
    pub default: Option<LimitValue>,
    /// A value above this one needs a justification.
    pub justified_above: Option<LimitValue>,
    /// A value above this one is refused.
    pub refused_above: LimitValue,
    /// The clause that asks for this limit. The figures may be the library's own: see
    /// `docs/policies.md`.
    pub clause: &'static str,
}

const fn m(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

const fn h(hours: u64) -> Duration {
    m(hours * 60)
}

const fn d(days: u64) -> Duration {
    h(days * 24)
}

const fn level(
    default: Duration,
    justified_above: Option<Duration>,
    refused_above: Duration,
    clause: &'static str,
) -> Level {
    Level {
        default: Some(LimitValue::Length(default)),
        justified_above: match justified_above {
            Some(length) => Some(LimitValue::Length(length)),
            None => None,
        },
        refused_above: LimitValue::Length(refused_above),
        clause,
    }
}

const ASVS_CONCURRENT: &str = "OWASP ASVS 5.0, 7.1.2";
const ASVS_IDLE: &str = "OWASP ASVS 5.0, 7.3.1";
const ASVS_ABSOLUTE: &str = "OWASP ASVS 5.0, 7.3.2";
const ASVS_ELEVATION: &str = "OWASP ASVS 5.0, 7.5.3";
const ASVS_RISK: &str = "OWASP ASVS 5.0, 7.1.1";
const NIST_1: &str = "NIST SP 800-63B-4, 2.1.3";
const NIST_2: &str = "NIST SP 800-63B-4, 2.2.3";
const NIST_3: &str = "NIST SP 800-63B-4, 2.3.3";
const OWASP_SESSIONS: &str = "OWASP Session Management Cheat Sheet";
const PCI: &str = "PCI DSS 4.0.1, 8.2.8";
const BROWSER_APPS: &str = "RFC 10017";
const STIG_USERS: &str = "DISA ASD STIG, SV-83865";
const STIG_ADMINISTRATORS: &str = "DISA ASD STIG, SV-83867";

/// The levels of a profile: default, justification wanted above, refused above, clause.
struct Figures {
    idle: Level,
    absolute: Level,
    privileged_idle: Level,
    elevation: Level,
    /// Whether remembered sign-ins may last longer than others.
    remembers: bool,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 9] = [
        Self::Standard,
        Self::Developer,
        Self::Aal1,
        Self::Aal2,
        Self::Aal3,
        Self::Pci,
        Self::High,
        Self::Bff,
        Self::Stig,
    ];

    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Developer => "developer",
            Self::Aal1 => "aal1",
            Self::Aal2 => "aal2",
            Self::Aal3 => "aal3",
            Self::Pci => "pci",
            Self::High => "high",
            Self::Bff => "bff",
            Self::Stig => "stig",
        }
    }

    /// The profile of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// What the profile says of a limit.
    pub fn level(self, limit: LimitName) -> Level {
        let figures = self.figures();
        match limit {
            LimitName::Idle => figures.idle,
            LimitName::Absolute => figures.absolute,
            LimitName::PrivilegedIdle => figures.privileged_idle,
            LimitName::Elevation => figures.elevation,
            LimitName::RememberIdle if figures.remembers => Level {
                justified_above: None,
                refused_above: LimitValue::Length(d(90)),
                ..remembered(NIST_1)
            },
            LimitName::RememberAbsolute if figures.remembers => remembered(NIST_1),
            LimitName::RememberIdle => Level {
                default: None,
                ..figures.idle
            },
            LimitName::RememberAbsolute => Level {
                default: None,
                ..figures.absolute
            },
            LimitName::Sessions => Level {
                default: Some(LimitValue::Count(10)),
                justified_above: None,
                refused_above: LimitValue::Count(1000),
                clause: ASVS_CONCURRENT,
            },
        }
    }

    #[rustfmt::skip]
    const fn figures(self) -> Figures {
        match self {
            Self::Standard => Figures {
                idle: level(m(30), Some(h(1)), h(24), ASVS_IDLE),
                absolute: level(h(24), Some(h(24)), d(30), NIST_2),
                privileged_idle: level(m(15), Some(m(15)), h(1), ASVS_RISK),
                elevation: level(m(15), Some(m(15)), h(1), ASVS_ELEVATION),
                remembers: true,
            },
            Self::Developer => Figures {
                idle: level(h(1), Some(h(1)), h(8), ASVS_IDLE),
                absolute: level(h(12), Some(h(24)), d(30), NIST_2),
                privileged_idle: level(m(15), Some(m(15)), h(1), ASVS_RISK),
                elevation: level(m(15), Some(m(15)), h(1), ASVS_ELEVATION),
                remembers: true,
            },
            Self::Aal1 => Figures {
                idle: level(h(12), None, h(24), NIST_1),
                absolute: level(d(30), Some(d(30)), d(400), NIST_1),
                privileged_idle: level(m(30), Some(m(30)), h(1), ASVS_RISK),
                elevation: level(m(15), Some(m(15)), h(1), ASVS_ELEVATION),
                remembers: true,
            },
            Self::Aal2 => Figures {
                idle: level(m(30), Some(h(1)), h(24), NIST_2),
                absolute: level(h(12), Some(h(24)), d(30), NIST_2),
                privileged_idle: level(m(15), Some(m(15)), h(1), ASVS_RISK),
                elevation: level(m(15), Some(m(15)), h(1), ASVS_ELEVATION),
                remembers: false,
            },
            Self::Aal3 => Figures {
                idle: level(m(15), Some(m(15)), h(12), NIST_3),
                absolute: level(h(12), None, h(12), NIST_3),
                privileged_idle: level(m(15), Some(m(15)), h(1), NIST_3),
                elevation: level(m(5), Some(m(15)), h(1), ASVS_ELEVATION),
                remembers: false,
            },
            Self::Pci => Figures {
                idle: level(m(15), None, m(15), PCI),
                absolute: level(h(8), Some(h(24)), d(30), NIST_2),
                privileged_idle: level(m(15), None, m(15), PCI),
                elevation: level(m(15), Some(m(15)), h(1), ASVS_ELEVATION),
                remembers: false,
            },
            Self::High => Figures {
                idle: level(m(5), Some(m(15)), m(15), OWASP_SESSIONS),
                absolute: level(h(4), Some(h(12)), h(12), OWASP_SESSIONS),
                privileged_idle: level(m(5), Some(m(5)), m(15), OWASP_SESSIONS),
                elevation: level(m(2), Some(m(5)), m(15), ASVS_ELEVATION),
                remembers: false,
            },
            Self::Bff => Figures {
                idle: level(m(30), Some(h(1)), h(24), NIST_2),
                absolute: level(h(8), Some(h(24)), d(30), BROWSER_APPS),
                privileged_idle: level(m(15), Some(m(15)), h(1), ASVS_RISK),
                elevation: level(m(5), Some(m(15)), h(1), ASVS_ELEVATION),
                remembers: false,
            },
            Self::Stig => Figures {
                idle: level(m(15), None, m(15), STIG_USERS),
                absolute: level(h(12), Some(h(24)), h(24), ASVS_ABSOLUTE),
                privileged_idle: level(m(10), None, m(10), STIG_ADMINISTRATORS),
                elevation: level(m(10), Some(m(15)), h(1), ASVS_ELEVATION),
                remembers: false,
            },
        }
    }
}

/// The absolute limit of remembered sign-ins, where they may last longer than others.
const fn remembered(clause: &'static str) -> Level {
    Level {
        default: None,
        justified_above: Some(LimitValue::Length(d(30))),
        refused_above: LimitValue::Length(d(400)),
        clause,
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::library;

    fn levels() -> impl Iterator<Item = (Profile, LimitName, Level)> {
        let of =
            |profile: Profile| LimitName::ALL.map(|limit| (profile, limit, profile.level(limit)));
        Profile::ALL.into_iter().flat_map(of)
    }

    #[test]
    fn every_profile_is_within_the_bounds_and_needs_no_justification() {
        for (profile, limit, level) in levels() {
            let most = level.refused_above.amount();
            assert!(most <= library(limit).amount(), "{profile} {limit:?}");
            let should = level.justified_above.map_or(most, LimitValue::amount);
            assert!(should <= most, "{profile} {limit:?}");
            if let Some(default) = level.default {
                assert!(default.amount() <= should, "{profile} {limit:?}");
            }
            assert!(!level.clause.is_empty());
        }
    }

    #[test]
    fn wcag_every_profile_leaves_room_for_ten_extensions() {
        for profile in Profile::ALL {
            let default = |limit| profile.level(limit).default.unwrap().amount();
            let (idle, absolute) = (default(LimitName::Idle), default(LimitName::Absolute));
            assert!(absolute >= 11 * idle, "{profile}");
        }
    }

    #[test]
    fn the_standard_profile_has_the_defaults_of_code() {
        let timeouts = portcullis_core::Timeouts::default();
        for (limit, value) in [
            (LimitName::Idle, timeouts.idle()),
            (LimitName::Absolute, timeouts.absolute()),
            (LimitName::PrivilegedIdle, timeouts.privileged_idle()),
            (LimitName::Elevation, timeouts.elevation()),
        ] {
            let default = Profile::Standard.level(limit).default;
            assert_eq!(default, Some(LimitValue::Length(value)), "{limit:?}");
        }
    }

    #[test]
    fn a_profile_is_found_by_its_exact_name() {
        for profile in Profile::ALL {
            assert_eq!(Profile::of(profile.name()), Some(profile));
        }
        for name in ["", "Standard", "none", "aal"] {
            assert_eq!(Profile::of(name), None, "{name}");
        }
    }
}
