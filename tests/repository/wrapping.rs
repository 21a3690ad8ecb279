//! Prose wraps at 100 columns. Tables, code, headings, HTML and addresses cannot.

use crate::{markdown::Page, tree::Tree};

const COLUMNS: usize = 100;

/// Written by a program.
const GENERATED: &[&str] = &["crates/portcullis-bench/RESULTS.md"];

pub(crate) fn overlong(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        if GENERATED.contains(&path) {
            continue;
        }
        let finding = |(line, columns)| format!("{path}:{line}: {columns} columns");
        findings.extend(overlong_lines(text).into_iter().map(finding));
    }
    findings
}

/// Numbers and lengths of lines that are too long.
fn overlong_lines(text: &str) -> Vec<(usize, usize)> {
    let page = Page::of(text);
    let mut start = 0;
    let mut found = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let columns = line.trim_end().chars().count();
        let words = start..start + line.trim_end().len();
        start += line.len();
        if columns <= COLUMNS {
            continue;
        }
        let content = without_marker(line.trim_end());
        let in_a_part_that_cannot = page
            .unwrappable
            .iter()
            .any(|part| part.start < words.end && words.start < part.end);
        if !in_a_part_that_cannot && !is_one_word(content) && !ends_with_an_address(line) {
            found.push((index + 1, columns));
        }
    }
    found
}

fn is_one_word(content: &str) -> bool {
    !content.contains(' ')
}

/// Whether only an address at the end goes beyond the last column.
fn ends_with_an_address(line: &str) -> bool {
    let Some((before, word)) = line.trim_end().rsplit_once(' ') else {
        return false;
    };
    let is_address = word.contains("](") || word.contains("://");
    is_address && before.chars().count() < COLUMNS
}

/// The line without its indentation and the marker of a list or quotation.
fn without_marker(line: &str) -> &str {
    let line = line.trim_start();
    match line.split_once(' ') {
        Some((marker, rest)) if marker.chars().all(|sign| "*-+>.0123456789".contains(sign)) => {
            rest.trim_start()
        }
        _ => line,
    }
}

#[test]
fn prose_beyond_the_last_column_is_found_and_what_cannot_wrap_is_not() {
    let prose = "word ".repeat(21);
    let address = format!("https://example.org/{}", "x".repeat(90));
    for text in [
        prose.clone(),
        format!("* {prose}"),
        format!("> {prose}"),
        format!("[a]({address}) and more"),
        format!("{prose} [a]({address})"),
    ] {
        assert_eq!(
            overlong_lines(&format!("short\n\n{text}\n")).len(),
            1,
            "{text}"
        );
    }
    for text in [
        "word ".repeat(20),
        format!("| a |\n|---|\n| {prose} |"),
        format!("```\n{prose}\n```"),
        format!("    {prose}"),
        format!("## {prose}"),
        format!("<p>{prose}</p>"),
        address.clone(),
        format!("* <{address}>"),
        format!("* [some words]({address}),"),
        format!("see **[some words]({address})**"),
        format!("<img alt=\"a\" src=\"{address}\"> <img alt=\"b\">"),
        format!("[a][b]\n\n[b]: {address} \"some words\""),
    ] {
        assert_eq!(overlong_lines(&text), [], "{text}");
    }
}
