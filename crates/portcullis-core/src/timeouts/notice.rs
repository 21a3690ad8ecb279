//! The text for sign-in pages that says how long a user stays signed in.

use std::time::Duration;

use super::Timeouts;

impl Timeouts {
    /// How long a user stays signed in, as an English text for a sign-in page (WCAG 2.2, 2.2.6).
    /// Fractions of a second are dropped, so that the text never promises too much.
    ///
    /// For words of your own, or another language, take [`idle`](Self::idle) and
    /// [`absolute`](Self::absolute).
    ///
    /// ```
    /// # use portcullis_core::Timeouts;
    /// assert_eq!(
    ///     Timeouts::default().notice(),
    ///     "You will be signed out after 30 minutes without activity, and 24 hours after you sign in at the latest."
    /// );
    /// ```
    pub fn notice(&self) -> String {
        let absolute = words(self.absolute);
        if self.idle >= self.absolute {
            return format!("You will be signed out {absolute} after you sign in.");
        }
        let idle = words(self.idle);
        format!(
            "You will be signed out after {idle} without activity, and {absolute} after you sign in at the latest."
        )
    }
}

/// A length of at least a second. It is in days only from two days on: "24 hours" is the usual
/// text.
fn words(length: Duration) -> String {
    let seconds = length.as_secs();
    let hours = seconds / 3600;
    let (days, hours) = match hours {
        ..48 => (0, hours),
        _ => (hours / 24, hours % 24),
    };
    let parts: Vec<_> = [
        (days, "day"),
        (hours, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, unit)| match count {
        1 => format!("1 {unit}"),
        _ => format!("{count} {unit}s"),
    })
    .collect();
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s110_a_length_is_written_in_common_units() {
        for (seconds, expected) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (90, "1 minute and 30 seconds"),
            (1800, "30 minutes"),
            (3600, "1 hour"),
            (3661, "1 hour, 1 minute and 1 second"),
            (86_400, "24 hours"),
            (90_000, "25 hours"),
            (172_800, "2 days"),
            (180_000, "2 days and 2 hours"),
            (400 * 86_400, "400 days"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn s110_a_length_is_never_rounded_up() {
        assert_eq!(words(Duration::from_millis(1999)), "1 second");
    }

    #[test]
    fn s110_an_idle_timeout_that_is_not_shorter_is_left_out_of_the_notice() {
        let hour = Duration::from_secs(3600);
        let timeouts = Timeouts::new(hour, hour).unwrap();
        assert_eq!(
            timeouts.notice(),
            "You will be signed out 1 hour after you sign in."
        );
    }
}
