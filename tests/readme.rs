//! The documents are true: the README's program is the one that runs, and every guarantee names a
//! test that exists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

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
    let page = read("docs/guarantees.md");
    let tables = page.split("| guarantee | test |\n|---|---|\n").skip(1);
    let rows: Vec<_> = tables
        .flat_map(|table| table.lines().take_while(|line| line.starts_with('|')))
        .collect();
    for row in &rows {
        let name = row
            .strip_suffix("` |")
            .and_then(|row| row.rsplit('`').next())
            .unwrap_or_else(|| panic!("no test is named: {row}"));
        let called = ["(", "<"].map(|next| tests.contains(&format!("fn {name}{next}")));
        assert!(called.contains(&true), "no test is called {name}");
    }
    assert!(rows.len() >= 43, "{} guarantees name a test", rows.len());
}
