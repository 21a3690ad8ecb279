//! Why each limit has its value, as text.

use std::fmt::Write;

use portcullis_core::policy::ClassLimits;

use crate::table::NONE;

/// Each limit with its value, the rule that decided, the rules that it overrode, and the caps above
/// it.
///
/// ```
/// # use portcullis_policy::{Document, PolicyBounds, explain};
/// let document = Document::parse("schema = 1\n[class.admin]\nidle = '15m'\n").unwrap();
/// let resolved = document.resolve_all(&PolicyBounds::new()).unwrap();
/// let limits = resolved.limits(None, Some("admin")).unwrap();
/// let text = explain(limits);
/// let mut lines = text.lines();
/// assert_eq!(lines.next(), Some("idle               15m   class.admin.idle"));
/// assert_eq!(lines.next().map(str::trim), Some("over profile standard 30m"));
/// assert_eq!(lines.next().map(str::trim), Some("under profile standard 24h, library 24h"));
/// ```
pub fn explain(limits: &ClassLimits) -> String {
    let mut text = String::new();
    for decision in &limits.decisions {
        line(
            &mut text,
            decision.limit.as_str(),
            &decision.value.to_string(),
            &decision.rule,
        );
        for chain in decision.chains() {
            line(&mut text, "", "", &chain);
        }
    }
    if limits.remember_me.is_none() {
        line(&mut text, "remember", NONE, "");
    }
    text
}

fn line(text: &mut String, limit: &str, value: &str, rest: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{}",
        format!("{limit:<17}  {value:<4}  {rest}").trim_end()
    );
}
