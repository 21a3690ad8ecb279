//! The modules of a crate, and what they import.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::tokens::{Import, imports, tokens, without_tests};

/// The path of a module in its crate. That of `lib.rs` is empty.
type Module = Vec<String>;

/// The modules of a crate by their paths, without tests.
pub(crate) struct Modules {
    imports: BTreeMap<Module, Vec<Import>>,
    files: BTreeMap<Module, String>,
}

/// A module, its file from the folder of sources on, and its text.
type Source = (Module, String, String);

impl Modules {
    /// Reads all files under this folder of sources.
    pub(crate) fn read(source: &Path) -> Self {
        let mut sources = Vec::new();
        read_folder(source, source, &[], &mut sources);
        assert!(!sources.is_empty(), "no source in {}", source.display());
        Self::parse(sources)
    }

    /// Modules with these paths and sources.
    pub(crate) fn of(sources: &[(&str, &str)]) -> Self {
        let sources = sources.iter().map(|(path, source)| {
            let parts = path.split("::").filter(|part| !part.is_empty());
            let file = format!("{}.rs", path.replace("::", "/"));
            (
                parts.map(str::to_owned).collect(),
                file,
                (*source).to_owned(),
            )
        });
        Self::parse(sources.collect())
    }

    fn parse(sources: Vec<Source>) -> Self {
        let (mut all, mut files, mut tests) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (module, file, source) in sources {
            files.insert(module.clone(), file);
            let (tokens, in_files) = without_tests(&tokens(&source));
            let test = |name| [&module[..], &[name]].concat();
            tests.extend(in_files.into_iter().map(test));
            all.insert(module, imports(&tokens));
        }
        all.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self {
            imports: all,
            files,
        }
    }

    /// The imports that go up, one line each. `order` lists the folders and files beside `lib.rs`
    /// from the ground up.
    pub(crate) fn upward_imports(&self, order: &[&str]) -> Vec<String> {
        let folders: BTreeSet<_> = self.imports.keys().filter_map(|it| it.first()).collect();
        let place = |folder: &str| order.iter().position(|it| *it == folder);
        let mut lines: Vec<_> = folders
            .iter()
            .filter(|folder| place(folder).is_none())
            .map(|folder| format!("{folder} is not in the order"))
            .collect();
        let missing = order
            .iter()
            .filter(|folder| !folders.iter().any(|it| it == *folder))
            .map(|folder| format!("{folder} is in the order and does not exist"));
        lines.extend(missing);
        for (module, imports) in &self.imports {
            let Some(here) = module.first().and_then(|folder| place(folder)) else {
                continue;
            };
            for import in imports {
                let Some((path, target)) = self.resolve(module, &import.path) else {
                    continue;
                };
                let there = target.first().and_then(|folder| place(folder));
                if there.is_some_and(|there| there > here) {
                    lines.push(format!(
                        "{}: crate::{} is of {}, which is above {}",
                        self.files[module],
                        path.join("::"),
                        target.join("::"),
                        order[here],
                    ));
                }
            }
        }
        lines
    }

    /// The sets of modules that import each other, directly or through others.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let reachable: BTreeMap<_, _> = self
            .imports
            .keys()
            .filter(|module| !module.is_empty())
            .map(|module| (module, self.reachable(module)))
            .collect();
        let mut circles = BTreeSet::new();
        for (module, others) in &reachable {
            let circle: Vec<_> = others
                .iter()
                .filter(|other| reachable.get(other).is_some_and(|it| it.contains(*module)))
                .map(|other| other.join("::"))
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reachable(&self, module: &Module) -> BTreeSet<Module> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![module.clone()]);
        while let Some(next) = open.pop() {
            for import in self.imports.get(&next).into_iter().flatten() {
                let Some((_, target)) = self.resolve(&next, &import.path) else {
                    continue;
                };
                if !target.is_empty() && target != next && reached.insert(target.clone()) {
                    open.push(target);
                }
            }
        }
        reached
    }

    /// The path from the root of the crate, and the module that defines the item. `None` for items
    /// of other crates.
    fn resolve(&self, module: &Module, path: &[String]) -> Option<(Module, Module)> {
        let absolute = self.absolute(module, path)?;
        let (mut current, mut seen) = (absolute.clone(), BTreeSet::new());
        loop {
            let split = (0..=current.len())
                .rev()
                .find(|length| self.imports.contains_key(&current[..*length]))?;
            let (target, rest) = current.split_at(split);
            let target = target.to_vec();
            let exported = rest.first().and_then(|name| self.exported(&target, name));
            match exported {
                Some(item) if seen.insert(current.clone()) => {
                    current = [&item[..], &rest[1..]].concat();
                }
                _ => return Some((absolute, target)),
            }
        }
    }

    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut base = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {}
            // A module inside of this one, or another crate.
            name => {
                let child = [&module[..], &[name.to_owned()]].concat();
                self.imports.get(&child)?;
            }
        }
        while rest.first().is_some_and(|part| part == "super") {
            base.pop()?;
            rest = &rest[1..];
        }
        Some([&base[..], rest].concat())
    }

    /// The path of the item that a module re-exports under this name.
    fn exported(&self, module: &Module, name: &str) -> Option<Module> {
        let exports = self.imports.get(module)?.iter();
        let mut exports = exports.filter(|it| it.exported.as_deref() == Some(name));
        self.absolute(module, &exports.next()?.path)
    }
}

fn read_folder(root: &Path, folder: &Path, module: &[String], sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let child = |name: &str| [module, &[name.to_owned()]].concat();
        if entry.file_type().unwrap().is_dir() {
            if name != "bin" {
                read_folder(root, &entry.path(), &child(&name), sources);
            }
        } else if let Some(stem) = name.strip_suffix(".rs") {
            let module = match (stem, module) {
                ("mod", _) | ("lib" | "main", []) => module.to_vec(),
                (stem, _) => child(stem),
            };
            let path = entry.path();
            let file = path.strip_prefix(root).unwrap().display().to_string();
            sources.push((module, file, fs::read_to_string(path).unwrap()));
        }
    }
}
