//! Links from page to page: the file exists, the anchor exists, and nothing leaves the repository.

use crate::{
    markdown::{Page, Target, line_of},
    tree::Tree,
};

/// Where links that cannot be relative begin, as those of a page that is also read on docs.rs.
const ADDRESS: &str = "https://github.com/portcullis-rs/portcullis/";

pub(crate) fn broken(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        for link in Page::of(text).links {
            let (target, problem) = match link.target {
                Target::Address(address) => {
                    let problem = problem_of(tree, path, &address);
                    (address, problem)
                }
                Target::Undefined(label) => (label, Some("is not defined on this page")),
            };
            if let Some(problem) = problem {
                let line = line_of(text, link.range.start);
                findings.push(format!("{path}:{line}: {target} {problem}"));
            }
        }
    }
    findings
}

fn problem_of(tree: &Tree, from: &str, address: &str) -> Option<&'static str> {
    let (base, address) = match address.strip_prefix(ADDRESS) {
        Some(rest) => {
            let inside = ["blob/main/", "tree/main/"];
            (
                "",
                inside.iter().find_map(|folder| rest.strip_prefix(folder))?,
            )
        }
        None => (from, address),
    };
    // `crate::Session` is of rustdoc, which checks it itself; `https:` and `mailto:` lead elsewhere.
    if address.contains(':') {
        return None;
    }
    let (path, anchor) = match address.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (address, None),
    };
    if path.starts_with('/') {
        return Some("begins with a slash, so it leaves the repository");
    }
    let Some(path) = resolve(base, path) else {
        return Some("leaves the repository");
    };
    match (tree.text(&path), anchor) {
        (None, None) if tree.has_folder(&path) => None,
        (None, Some(_)) if tree.has_folder(&path) => Some("is a folder, which has no anchors"),
        (None, _) => Some("does not exist"),
        (Some(_), None) => None,
        (Some(text), Some(anchor)) if path.ends_with(".md") => {
            let exists = Page::of(text).anchors.contains(anchor);
            (!exists).then_some("is the anchor of no heading")
        }
        (Some(_), Some(_)) => Some("has an anchor, which only Markdown has"),
    }
}

/// The path from the root of what `target` is beside `from`.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[test]
fn a_link_that_leads_nowhere_is_found_with_its_file_line_and_target() {
    let tree = Tree::of(&[
        (
            "docs/a.md",
            "# A\n\ntext [b\nc](b.md)\n\n`[code](x.md)`\n\n```\n[code](x.md)\n```\n",
        ),
        (
            "README.md",
            "[a](docs/a.md#a), [folder](docs), [web](https://example.org/x)\n",
        ),
    ]);
    assert_eq!(broken(&tree), ["docs/a.md:3: b.md does not exist"]);
}

#[test]
fn each_kind_of_broken_link_is_found() {
    let root = "https://github.com/portcullis-rs/portcullis/blob/main/";
    for (link, problem) in [
        ("[x](#no)", "#no is the anchor of no heading"),
        ("[x](b.md#no)", "b.md#no is the anchor of no heading"),
        ("[x](../../c)", "../../c leaves the repository"),
        (
            "[x](/b.md)",
            "/b.md begins with a slash, so it leaves the repository",
        ),
        (
            "[x](../c.rs#L3)",
            "../c.rs#L3 has an anchor, which only Markdown has",
        ),
        ("[x](B.md)", "B.md does not exist"),
        ("[x][y]\n\n[y]: no.md", "no.md does not exist"),
        ("[x][y]", "y is not defined on this page"),
        ("![x](no.png)", "no.png does not exist"),
        ("<img alt=\"\" src=\"no.png\">", "no.png does not exist"),
        (
            &format!("[x]({root}no.md)"),
            &format!("{root}no.md does not exist"),
        ),
    ] {
        let tree = Tree::of(&[("docs/a.md", link), ("docs/b.md", "# B"), ("c.rs", "")]);
        assert_eq!(broken(&tree), [format!("docs/a.md:1: {problem}")]);
    }
}
