//! The order of the modules of a crate: an import never goes up.
//!
//! Each crate lists its folders and top-level files from the ground up. A module may import from
//! its own folder and from those before it. Re-exports are followed, so an import through `lib.rs`
//! or a `mod.rs` counts as one of the module that defines the item.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod modules;
mod tokens;

use std::path::Path;

use modules::Modules;

/// The folders and files of `portcullis-redis`, from the ground up.
const REDIS: [&str; 12] = [
    "connect_error",
    "endpoint",
    "info",
    "clock",
    "address",
    "layout",
    "check",
    "driver",
    "scripts",
    "store",
    "builder",
    "testing",
];

/// The folders and files of `portcullis`, from the ground up.
const LAYER: [&str; 16] = [
    "headers", "body", "activity", "outcome", "reject", "writing", "client", "runtime", "config",
    "request", "guard", "admin", "routes", "live", "layer", "testing",
];

/// The files of `portcullis-policy`, from the ground up.
const POLICY: [&str; 17] = [
    "problem",
    "node",
    "bounds",
    "profile",
    "table",
    "document",
    "read",
    "canonical",
    "declared",
    "chain",
    "resolve",
    "diff",
    "explain",
    "evidence",
    "schema",
    "overlay",
    "versions",
];

fn modules(krate: &str) -> Modules {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    Modules::read(&root.join(krate).join("src"))
}

#[test]
fn imports_of_portcullis_redis_never_go_up() {
    let upward = modules("portcullis-redis").upward_imports(&REDIS);
    assert!(upward.is_empty(), "\n{}", upward.join("\n"));
}

#[test]
fn modules_of_portcullis_redis_have_no_circle() {
    let circles = modules("portcullis-redis").circles();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn imports_of_portcullis_never_go_up() {
    let upward = modules("portcullis").upward_imports(&LAYER);
    assert!(upward.is_empty(), "\n{}", upward.join("\n"));
}

#[test]
fn imports_of_portcullis_policy_never_go_up() {
    let upward = modules("portcullis-policy").upward_imports(&POLICY);
    assert!(upward.is_empty(), "\n{}", upward.join("\n"));
}

#[test]
fn an_import_that_goes_up_is_found_also_through_re_exports() {
    let modules = Modules::of(&[
        ("", "mod low; mod high; pub use self::high::Thing;"),
        (
            "low",
            "use crate::Thing; // use crate::high::ignored;\n\
             const TEXT: &str = \"crate::high::ignored\";\n\
             #[cfg(test)] mod tests { use crate::high::Ignored; }",
        ),
        ("high", "mod inner; pub(crate) use self::inner::Thing;"),
        ("high::inner", "use crate::low::Other; pub struct Thing;"),
    ]);
    assert_eq!(
        modules.upward_imports(&["low", "high"]),
        ["low.rs: crate::Thing is of high::inner, which is above low"]
    );
    assert_eq!(modules.circles(), [["high::inner", "low"]]);
}

#[test]
fn inline_paths_and_nested_trees_are_imports() {
    let modules = Modules::of(&[
        ("", "mod low; mod high;"),
        (
            "low",
            "fn f() -> super::high::A { $crate::high::b() }\nuse super::{high::{C, D as E}, low};",
        ),
        ("high", "pub(in crate::low) struct A;"),
    ]);
    let found = modules.upward_imports(&["low", "high"]);
    let found: Vec<_> = found.iter().map(|it| it.split(" is of ").next()).collect();
    let expected = [
        "low.rs: crate::high::A",
        "low.rs: crate::high::b",
        "low.rs: crate::high::C",
        "low.rs: crate::high::D",
    ];
    assert_eq!(found, expected.map(Some));
}

#[test]
fn a_folder_that_is_not_in_the_order_is_named() {
    let modules = Modules::of(&[("", "mod low; mod other;"), ("low", ""), ("other", "")]);
    assert_eq!(
        modules.upward_imports(&["low", "missing"]),
        [
            "other is not in the order",
            "missing is in the order and does not exist"
        ]
    );
}
