//! The repository's pages hold together: links lead somewhere, prose wraps, and the numbers in
//! tests' names are explained.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod links;
mod markdown;
mod requirements;
mod tree;
mod wrapping;

use tree::Tree;

/// One line for each finding, so that all of them can be mended at once.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    assert_none(&links::broken(&Tree::of_repository()));
}

#[test]
fn prose_wraps_at_100_columns() {
    assert_none(&wrapping::overlong(&Tree::of_repository()));
}

#[test]
fn every_number_in_a_tests_name_is_explained_and_every_explained_number_has_a_test() {
    assert_none(&requirements::unmatched(&Tree::of_repository()));
}
