//! The README is true: its program is the one that runs, and the tests it names exist.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn the_program_of_the_readme_is_the_example_that_runs() {
    let (readme, example) = (read("README.md"), read("examples/hello.rs"));
    let program = readme
        .split("```rust\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    assert!(program.len() > 500);
    assert!(
        example.ends_with(program),
        "the README's program and examples/hello.rs differ"
    );
}

#[test]
fn every_guarantee_names_a_test_that_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("http");
    let tests: String = fs::read_dir(folder)
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let readme = read("README.md");
    let guarantees = readme
        .split("## Guarantees")
        .nth(1)
        .unwrap()
        .split("## Cost")
        .next()
        .unwrap();
    let rows = guarantees.lines().filter(|line| line.ends_with("` |"));
    let mut named = 0;
    for row in rows {
        let name = row.trim_end_matches("` |").rsplit('`').next().unwrap();
        let called = ["(", "<"].map(|next| tests.contains(&format!("fn {name}{next}")));
        assert!(called.contains(&true), "no test is called {name}");
        named += 1;
    }
    assert!(named >= 13, "{named} guarantees name a test");
}
