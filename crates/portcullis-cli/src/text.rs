//! Text that is safe on a terminal, and tables of it.

use std::{fmt::Write, io::IsTerminal};

use portcullis::UserId;

/// Text that cannot break a line, control the terminal, or reverse the order of characters.
pub(crate) fn shown(text: &str) -> String {
    visible(&UserId::from(text).to_string())
}

/// The same for any bytes, in quotes unless it is one plain word. Otherwise a name could look like
/// the next word of a line.
pub(crate) fn word(bytes: &[u8]) -> String {
    let text = visible(&UserId::from(bytes).to_string());
    if !is_one_word(bytes) {
        format!("\"{}\"", text.replace('"', "\\\""))
    } else {
        text
    }
}

fn is_one_word(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.@+:/".contains(byte);
    !bytes.is_empty() && bytes.iter().all(plain)
}

/// Whether a user's name is shown exactly as it is given.
pub(crate) fn is_plain(user: &UserId) -> bool {
    is_one_word(user.as_bytes())
}

/// The form that `--hex` accepts.
pub(crate) fn hex(user: &UserId) -> String {
    let bytes = user.as_bytes().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn user(user: &UserId) -> String {
    word(user.as_bytes())
}

/// `Display` of a user keeps characters that have no width, or change the direction of others.
fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            let _ = write!(safe, "{}", character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Whether a character is invisible: it moves, hides or reorders others.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The colour of a text, if the terminal has colours. It never adds information to the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Bold,
    Good,
    Warning,
    Bad,
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pen(pub(crate) bool);

impl Pen {
    /// Colours on a terminal, unless the operator disabled them.
    pub(crate) fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        Self(wanted && able && std::io::stdout().is_terminal())
    }

    pub(crate) fn write(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            _ if !self.0 || text.is_empty() => return text.to_owned(),
            Ink::Bold => 1,
            Ink::Good => 32,
            Ink::Warning => 33,
            Ink::Bad => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A table with a heading. Cells are safe text. If the terminal is too narrow, the last column is
/// wrapped, or each row becomes a paragraph.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<(Ink, String)>>,
}

impl Table {
    pub(crate) fn new<'h>(headings: impl IntoIterator<Item = &'h str>) -> Self {
        let headings = headings.into_iter();
        Self {
            rows: vec![headings.map(|text| (Ink::Bold, text.to_owned())).collect()],
        }
    }

    pub(crate) fn push(&mut self, row: Vec<(Ink, String)>) {
        self.rows.push(row);
    }

    /// Fits the table into `room` columns, if that is known.
    pub(crate) fn render(&self, pen: Pen, room: Option<usize>) -> String {
        let widths = self.widths();
        let Some((last, others)) = widths.split_last() else {
            return String::new();
        };
        let margin = others.iter().map(|width| width + 2).sum::<usize>();
        match room {
            Some(room) if margin + last > room && margin + LEAST > room => self.paragraphs(pen),
            Some(room) if margin + last > room => self.lines(pen, &widths, Some(room - margin)),
            _ => self.lines(pen, &widths, None),
        }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, (_, text)) in widths.iter_mut().zip(row) {
                *width = text.chars().count().max(*width);
            }
        }
        widths
    }

    /// One row after the other, with the last column wrapped to this many characters.
    fn lines(&self, pen: Pen, widths: &[usize], last: Option<usize>) -> String {
        let mut rendered = String::new();
        for row in &self.rows {
            let mut line = String::new();
            let (mut owed, mut at) = (0, 0);
            for (column, ((ink, text), width)) in row.iter().zip(widths).enumerate() {
                line.extend(std::iter::repeat_n(' ', owed));
                at += owed;
                let parts = match last {
                    Some(room) if column + 1 == widths.len() => wrapped(text, room),
                    _ => vec![text.clone()],
                };
                for (number, part) in parts.iter().enumerate() {
                    if number > 0 {
                        line.push('\n');
                        line.extend(std::iter::repeat_n(' ', at));
                    }
                    line.push_str(&pen.write(*ink, part));
                }
                let length = text.chars().count();
                at += length;
                owed = width - length + 2;
            }
            rendered.push_str(line.trim_end());
            rendered.push('\n');
        }
        rendered
    }

    /// Each row with a line for each column, under the heading's words.
    fn paragraphs(&self, pen: Pen) -> String {
        let Some((headings, rows)) = self.rows.split_first() else {
            return String::new();
        };
        let width = headings.iter().map(|(_, text)| text.chars().count()).max();
        let width = width.unwrap_or(0);
        let paragraph = |row: &Vec<(Ink, String)>| {
            let mut lines = String::new();
            for ((bold, heading), (ink, text)) in headings.iter().zip(row) {
                if text.is_empty() {
                    continue;
                }
                let heading = pen.write(*bold, &format!("{heading:<width$}"));
                lines.push_str(&format!("{heading}  {}\n", pen.write(*ink, text)));
            }
            lines
        };
        let paragraphs: Vec<_> = rows.iter().map(paragraph).collect();
        paragraphs.join("\n")
    }
}

/// The least width in which a last column is readable.
const LEAST: usize = 30;

/// Broken between words so that no part is longer than this, unless it is one word.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    for word in text.split(' ') {
        if let Some(part) = parts.last_mut() {
            if part.is_empty() {
                part.push_str(word);
                continue;
            }
            if part.chars().count() + 1 + word.chars().count() <= room {
                part.push(' ');
                part.push_str(word);
                continue;
            }
        }
        parts.push(word.to_owned());
    }
    parts
}

/// A value, or a dash for none.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// `1 session`, `2 sessions`.
pub(crate) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

/// A safe quote of a command line: without the password of an address and without control
/// characters.
pub(crate) fn quotable(text: &str) -> String {
    let quotable = |line: &str| {
        let characters = line.chars().flat_map(|character| {
            let escaped = (character.is_control() || is_invisible(character))
                .then(|| character.escape_unicode());
            let as_it_is = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(as_it_is)
        });
        without_password(&characters.collect::<String>())
    };
    let lines: Vec<_> = text.split('\n').map(quotable).collect();
    lines.join("\n")
}

fn without_password(line: &str) -> String {
    let line = match (line.find("://"), line.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (before, rest) = line.split_at(scheme);
            let (_, after) = rest.split_at(at - scheme);
            format!("{before}://…{after}")
        }
        _ => line.to_owned(),
    };
    // The password of a Sentinel is behind the host. Its end is unknown, so all that follows is
    // removed.
    match line.split_once("entinelPassword=") {
        Some((before, _)) => format!("{before}entinelPassword=…"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s101_no_shown_text_can_control_a_terminal() {
        for (text, safe) in [
            ("alice", "alice"),
            ("\x1b[31mred\x07", r"\u{1b}[31mred\u{7}"),
            ("\u{9b}2J\r\n\x7f", r"\u{9b}2J\r\n\u{7f}"),
            ("a\u{202e}ecila", r"a\u{202e}ecila"),
            ("zero\u{200b}width\u{feff}", r"zero\u{200b}width\u{feff}"),
            (r"\u{1b}", r"\\u{1b}"),
            ("Zoë 東京", "Zoë 東京"),
        ] {
            assert_eq!(shown(text), safe);
        }
    }

    #[test]
    fn a_word_cannot_be_taken_for_two() {
        for (name, word_of_it) in [
            (&b"alice@example.com"[..], "alice@example.com"),
            (b"", r#""""#),
            (b"eve by=operator:root", r#""eve by=operator:root""#),
            (b"eve\" by=\"", r#""eve\" by=\"""#),
            (b"eve\\\"", r#""eve\\\"""#),
            (b"\xff", r#""\xff""#),
            ("Zoë".as_bytes(), "\"Zoë\""),
        ] {
            assert_eq!(word(name), word_of_it);
        }
    }

    #[test]
    fn a_table_is_as_wide_as_it_must_be_and_has_no_trailing_space() {
        let mut table = Table::new(["ONE", "TWO", "THREE"]);
        let cells = |texts: [&str; 3]| texts.map(|text| (Ink::Plain, text.to_owned())).into();
        table.push(cells(["longer", "b", "c"]));
        table.push(cells(["é", "", ""]));
        assert_eq!(
            table.render(Pen(false), None),
            "ONE     TWO  THREE\nlonger  b    c\né\n"
        );
    }

    #[test]
    fn a_table_that_is_too_wide_is_wrapped_in_its_last_column() {
        let mut table = Table::new(["ABOUT", "FINDING"]);
        let finding = "seven words that are too many here";
        table.push(vec![
            (Ink::Plain, "log".into()),
            (Ink::Plain, finding.into()),
        ]);
        assert_eq!(
            table.render(Pen(false), Some(37)),
            "ABOUT  FINDING\nlog    seven words that are too many\n       here\n"
        );
        let in_one_line = "ABOUT  FINDING\nlog    seven words that are too many here\n";
        assert_eq!(table.render(Pen(false), Some(41)), in_one_line);
    }

    #[test]
    fn a_table_that_cannot_be_wrapped_becomes_paragraphs() {
        let mut table = Table::new(["HANDLE", "CLIENT", "FLAG"]);
        let row = |client: &str| {
            ["AAAAAAAAAAAAAAAA", client, "-"].map(|text| (Ink::Plain, text.to_owned()))
        };
        table.push(row("Firefox on Linux").into());
        table.push(row("").into());
        assert_eq!(
            table.render(Pen(false), Some(39)),
            "HANDLE  AAAAAAAAAAAAAAAA\nCLIENT  Firefox on Linux\nFLAG    -\n\n\
             HANDLE  AAAAAAAAAAAAAAAA\nFLAG    -\n"
        );
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(["A", "B"]);
        table.push(vec![(Ink::Bad, "x".into()), (Ink::Plain, "y".into())]);
        assert_eq!(
            table.render(Pen(true), None),
            "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n\x1b[31mx\x1b[0m  y\n"
        );
    }

    #[test]
    fn a_quoted_command_line_shows_no_password_and_controls_no_terminal() {
        for (text, safe) in [
            (
                "unexpected 'redis://a:p w@d@h:1' found",
                "unexpected 'redis://…@h:1' found",
            ),
            ("see https://example.com", "see https://example.com"),
            ("one@two", "one@two"),
            ("'\x1b[2J'\n", "'\\u{1b}[2J'\n"),
            (
                "'redis-sentinel://a:p@h?node=g:1&sentinelPassword=s ecret' found",
                "'redis-sentinel://…@h?node=g:1&sentinelPassword=…",
            ),
            (
                "first\nrediss://:secret@h\nlast@x",
                "first\nrediss://…@h\nlast@x",
            ),
        ] {
            assert_eq!(quotable(text), safe);
        }
    }
}
