//! What is wrong with a document.

use std::fmt;

use portcullis_core::debug_as_message;
use serde::Serialize;

/// What is wrong with a document, or what deserves attention in it.
///
/// Its text names the path, the values, and the clause of a standard, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub struct Problem {
    /// The path in the document, such as `class.admin.idle`. Empty for the whole document.
    pub path: String,
    /// Where it is in the text, if the text alone is wrong.
    pub place: Option<Place>,
    /// The value at this path.
    pub value: Option<String>,
    /// The value that it conflicts with.
    pub against: Option<Against>,
    /// The clause of a standard.
    pub clause: Option<&'static str>,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// A document that is refused: its text is not a document, or it contradicts bounds or code. The
/// message has a line for each problem.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidDocument {
    problems: Vec<Problem>,
}

impl InvalidDocument {
    /// The error of a document with these problems.
    pub fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// All that is wrong.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All that is wrong.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

impl fmt::Display for InvalidDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the policy document is refused")?;
        let mut problems = self.problems.iter();
        problems.try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

impl fmt::Debug for InvalidDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as_message(self, f)
    }
}

/// The other side of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Against {
    /// Its path in the document, or what sets it elsewhere.
    pub path: String,
    /// Its value.
    pub value: String,
}

/// A place in a text. Both numbers begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    /// The place of this byte.
    pub(crate) fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let on_line = before.get(line_start..).unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: on_line.chars().count() + 1,
        }
    }
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            place: None,
            value: None,
            against: None,
            clause: None,
            reason: reason.into(),
        }
    }

    pub(crate) fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    pub(crate) fn with_value(self, value: impl ToString) -> Self {
        Self {
            value: Some(value.to_string()),
            ..self
        }
    }

    pub(crate) fn against(self, path: impl Into<String>, value: impl ToString) -> Self {
        let against = Against {
            path: path.into(),
            value: value.to_string(),
        };
        Self {
            against: Some(against),
            ..self
        }
    }

    pub(crate) fn clause(self, clause: &'static str) -> Self {
        Self {
            clause: Some(clause),
            ..self
        }
    }
}

/// On one line: names and values come from the document, so control characters are escaped.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            place,
            reason,
            ..
        } = self;
        if let Some(Place { line, column }) = place {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(reason)?;
        if let Some(clause) = self.clause {
            write!(f, " [{clause}]")?;
        }
        Ok(())
    }
}

/// A name or value of the document as it is quoted in messages.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let short: String = text.chars().take(MOST).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let text = "a\nüb = 1\n";
        let place = |line, column| Place { line, column };
        assert_eq!(Place::of(text, 0), place(1, 1));
        assert_eq!(Place::of(text, 2), place(2, 1));
        assert_eq!(Place::of(text, 4), place(2, 2));
        assert_eq!(Place::of(text, 99), place(3, 1));
    }

    #[test]
    fn a_quote_is_short_and_on_one_line() {
        assert_eq!(quoted("a\nb\u{1b}"), r#""a\nb\u{1b}""#);
        assert!(quoted(&"x".repeat(1000)).len() < 70);
    }
}
