//! What `INFO` says, read in one place.

/// The oldest version that will do.
const OLDEST: (u64, u64) = (6, 2);

/// A text of lines `name:value`, as `INFO` and `CLUSTER INFO` answer. What it does not say is `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Info<'a>(&'a str);

impl<'a> Info<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    }

    pub(crate) fn number(self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    pub(crate) fn is(self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// The version, if it is too old.
    pub(crate) fn too_old(self) -> Option<&'a str> {
        let version = self.get("redis_version")?;
        let mut parts = version.split('.').map(str::parse);
        match (parts.next()?, parts.next()?) {
            (Ok(major), Ok(minor)) if (major, minor) < OLDEST => Some(version),
            _ => None,
        }
    }

    /// Whether something is thrown away when memory is full.
    pub(crate) fn evicts(self) -> bool {
        self.get("maxmemory_policy")
            .is_some_and(|policy| policy != "noeviction")
    }

    /// The policy, if it throws away keys whatever they are.
    pub(crate) fn unsafe_policy(self) -> Option<&'a str> {
        self.get("maxmemory_policy")
            .filter(|policy| policy.starts_with("allkeys") && !self.is("maxmemory", "0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_6_2_are_too_old_and_odd_ones_are_given_the_benefit_of_the_doubt() {
        for (version, old) in [
            ("5.0.14", true),
            ("6.0.16", true),
            ("6.2.0", false),
            ("7.0.15", false),
            ("10.0", false),
            ("255.255.255", false),
            ("odd", false),
        ] {
            let text = format!("# Server\r\nredis_version:{version}\r\n");
            assert_eq!(Info::new(&text).too_old().is_some(), old, "{version}");
        }
    }

    #[test]
    fn a_policy_is_unsafe_only_where_memory_is_bounded() {
        let is_unsafe = |maxmemory: u32, policy: &str| {
            let text = format!(
                "maxmemory:{maxmemory}\r\nmaxmemory_human:x\r\nmaxmemory_policy:{policy}\r\n"
            );
            Info::new(&text).unsafe_policy().is_some()
        };
        assert!(is_unsafe(1, "allkeys-lru"));
        assert!(!is_unsafe(0, "allkeys-lru"));
        assert!(!is_unsafe(1, "noeviction"));
        assert!(!is_unsafe(1, "volatile-ttl"));
    }

    #[test]
    fn a_name_is_not_taken_for_one_that_begins_like_it_and_silence_is_nothing() {
        let info = Info::new("maxmemory_human:x\r\nmaxmemory:7\r\nrole:\r\n");
        assert_eq!(info.number("maxmemory"), Some(7));
        assert_eq!(info.get("role"), Some(""));
        assert_eq!(info.number("role"), None);
        assert_eq!(info.get("max"), None);
        let silent = Info::new("");
        assert_eq!(silent.get("maxmemory"), None);
        assert_eq!(silent.too_old(), None);
        assert_eq!(silent.unsafe_policy(), None);
    }
}
