//! `docs/requirements.md` explains the numbers that tests carry, and only those.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Tree;

const PAGE: &str = "docs/requirements.md";

pub(crate) fn unmatched(tree: &Tree) -> Vec<String> {
    let explained = rows(tree.text(PAGE).unwrap_or_default());
    let carried = carried(tree);
    let mut findings = Vec::new();
    for (number, path) in &carried {
        if !explained.contains(number) {
            findings.push(format!(
                "{PAGE} has no row for {number}, which {path} carries"
            ));
        }
    }
    for number in explained {
        if !carried.contains_key(&number) {
            findings.push(format!(
                "{PAGE} has a row for {number}, which no test carries"
            ));
        }
    }
    findings
}

/// The numbers that begin a row of a table.
fn rows(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter_map(number)
        .collect()
}

/// Each number that a test carries, with a file where it stands.
fn carried(tree: &Tree) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let files = tree.ending(".rs").chain(tree.ending(".mjs"));
    // The examples below are no tests of anything.
    for (path, text) in files.filter(|(path, _)| !path.starts_with("tests/repository/")) {
        for line in text.lines() {
            for number in numbers_of(line) {
                found.entry(number).or_insert_with(|| path.to_owned());
            }
        }
    }
    found
}

/// Of the names `fn s001_…` and `scene('s001 …`, and of comments: `/// S-001: …`.
fn numbers_of(line: &str) -> BTreeSet<String> {
    let line = line.trim_start();
    let name = if let Some((_, rest)) = line.split_once("fn ") {
        rest.split(['(', '<']).next()
    } else if line.starts_with("//") {
        Some(line)
    } else {
        ["'", "`"].iter().find_map(|quote| {
            let inside = line.split(quote).nth(1)?;
            number(inside.split_once(' ')?.0).map(|_| inside)
        })
    };
    let words = name
        .unwrap_or_default()
        .split([' ', '_', ',', '.', ':', ';', '(', ')']);
    words.filter_map(number).collect()
}

/// `s001` of `s001` or `S-001`, `t01` of `t01` or `T01`, and `p01` likewise.
fn number(word: &str) -> Option<String> {
    let digits =
        |rest: &str, count| rest.len() == count && rest.bytes().all(|b| b.is_ascii_digit());
    let s = word.strip_prefix("S-").or_else(|| word.strip_prefix('s'));
    let t = word.strip_prefix(['T', 't']);
    let p = word.strip_prefix(['P', 'p']);
    match (s, t, p) {
        (Some(rest), ..) if digits(rest, 3) => Some(format!("s{rest}")),
        (_, Some(rest), _) if digits(rest, 2) => Some(format!("t{rest}")),
        (.., Some(rest)) if digits(rest, 2) => Some(format!("p{rest}")),
        _ => None,
    }
}

#[test]
fn a_number_without_a_row_and_a_row_without_a_test_are_found() {
    let tree = Tree::of(&[
        (
            PAGE,
            "| number | what |\n|---|---|\n| `s001` | a |\n| `t02` | b |\n",
        ),
        (
            "tests/a.rs",
            "    async fn s001_t03_p09_it_holds<S: Store>(store: S) {\n/// S-004, T05: why\n",
        ),
        (
            "tests/b.mjs",
            "scene('s006 t07 a page', {}, () => {\nconst s008 = `t99`;\n",
        ),
    ]);
    let row = |number, path| format!("{PAGE} has no row for {number}, which {path} carries");
    assert_eq!(
        unmatched(&tree),
        [
            row("p09", "tests/a.rs"),
            row("s004", "tests/a.rs"),
            row("s006", "tests/b.mjs"),
            row("t03", "tests/a.rs"),
            row("t05", "tests/a.rs"),
            row("t07", "tests/b.mjs"),
            format!("{PAGE} has a row for t02, which no test carries"),
        ]
    );
}
