//! Reads the text of `INFO`.

/// From this share of `maxmemory` on, in percent, sessions without a user are refused.
pub(crate) const REFUSE_VISITORS_FROM: u8 = 75;

/// The oldest supported version.
const OLDEST: (u64, u64) = (6, 2);

/// A text of lines `name:value`, as `INFO` and `CLUSTER INFO` answer. An absent value is `None`.
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

    /// Whether the server evicts keys when its memory is full.
    pub(crate) fn evicts(self) -> bool {
        self.get("maxmemory_policy")
            .is_some_and(|policy| policy != "noeviction")
    }

    /// The eviction policy, if it may evict any key.
    pub(crate) fn unsafe_policy(self) -> Option<&'a str> {
        self.get("maxmemory_policy")
            .filter(|policy| policy.starts_with("allkeys") && !self.is("maxmemory", "0"))
    }

    /// The share of its memory that the server uses, in percent. It is 0 if there is no limit, or
    /// if the server evicts keys: then its memory is always full. `None` if the server does not
    /// show it.
    pub(crate) fn memory_percent(self) -> Option<u8> {
        let limit = self.number("maxmemory")?;
        let used = self.number("used_memory")?;
        if limit == 0 || self.evicts() {
            return Some(0);
        }
        let percent = u128::from(self.counted(used)) * 100 / u128::from(limit);
        Some(u8::try_from(percent).unwrap_or(u8::MAX))
    }

    /// The part of the used memory that the server counts when it decides whether memory is full.
    pub(crate) fn counted(self, used: u64) -> u64 {
        used.saturating_sub(self.number("mem_not_counted_for_evict").unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_6_2_are_too_old_and_unreadable_ones_are_accepted() {
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
    fn a_value_is_found_by_its_whole_name_and_an_absent_one_is_none() {
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

    fn memory_percent(maxmemory: &str, policy: &str) -> Option<u8> {
        let text = format!(
            "used_memory:850\r\nmaxmemory:{maxmemory}\r\nmaxmemory_policy:{policy}\r\n\
             mem_not_counted_for_evict:100\r\n"
        );
        Info::new(&text).memory_percent()
    }

    #[test]
    fn only_memory_that_the_server_counts_is_compared_with_the_limit() {
        assert_eq!(memory_percent("1000", "noeviction"), Some(75));
        assert_eq!(memory_percent("1001", "noeviction"), Some(74));
        assert_eq!(memory_percent("1", "noeviction"), Some(u8::MAX));
    }

    #[test]
    fn without_a_limit_and_with_eviction_there_is_no_budget() {
        assert_eq!(memory_percent("0", "noeviction"), Some(0));
        assert_eq!(memory_percent("750", "volatile-ttl"), Some(0));
        assert_eq!(memory_percent("750", "allkeys-lru"), Some(0));
    }

    #[test]
    fn a_server_that_hides_its_memory_is_distinguished_from_one_with_room() {
        assert_eq!(Info::new("").memory_percent(), None);
        assert_eq!(Info::new("maxmemory:100\r\n").memory_percent(), None);
        let without_policy = Info::new("maxmemory:100\r\nused_memory:80\r\n");
        assert_eq!(without_policy.memory_percent(), Some(80));
    }
}
