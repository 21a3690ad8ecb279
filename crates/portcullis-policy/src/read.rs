//! From the tree of a document to its values. Every problem is reported, not only the first.

use std::{collections::BTreeMap, time::Duration};

use portcullis_core::{
    MAX_SCOPE_BYTES,
    policy::{
        DemandLimits, FlaggedElevation, FlaggedLimits, LimitName, LimitValue, is_name, length_text,
        parse_length,
    },
};

use crate::{
    bounds::{SHORTEST, library},
    document::{Document, Environment, MAX_CLASSES, MAX_DEMANDS, MAX_DOCUMENT_BYTES},
    node::{self, Node, Value},
    problem::{InvalidDocument, Problem, quoted},
    profile::Profile,
    table::{FIELDS, LimitTable, NONE, REMEMBER, REMEMBER_FIELDS, Setting},
};

/// The fields of a document.
pub(crate) const DOCUMENT_FIELDS: [&str; 9] = [
    "schema",
    "profile",
    "limits",
    "class",
    "environment",
    "cap",
    "flagged",
    "demand",
    "justification",
];

/// The fields of an environment, besides its limits.
pub(crate) const ENVIRONMENT_FIELDS: [&str; 2] = ["class", "cap"];

/// The fields of `flagged`.
pub(crate) const FLAGGED_FIELDS: [&str; 2] = ["idle", "elevation"];

/// The fields of a demand.
pub(crate) const DEMAND_FIELDS: [&str; 3] = ["idle", "max_auth_age", "scope"];

const SCHEMA: i64 = 1;

/// How lengths of time are written.
#[derive(Debug, Clone, Copy)]
enum Lengths {
    Text,
    Milliseconds,
}

impl Document {
    /// Reads a document of TOML.
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] with all that is wrong with the text, each with line and column.
    pub fn parse(text: &str) -> Result<Self, InvalidDocument> {
        let read = within_size(text)
            .and_then(|()| node::of_toml(text))
            .and_then(|root| document(&root, Lengths::Text));
        read.map_err(InvalidDocument::new)
    }

    /// Reads the [canonical form](Self::canonical) of a document.
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] with all that is wrong with it.
    pub fn parse_canonical(json: &str) -> Result<Self, InvalidDocument> {
        let read = within_size(json)
            .and_then(|()| node::of_json(json))
            .and_then(|root| document(&root, Lengths::Milliseconds));
        read.map_err(InvalidDocument::new)
    }
}

fn within_size(text: &str) -> Result<(), Vec<Problem>> {
    if text.len() <= MAX_DOCUMENT_BYTES {
        return Ok(());
    }
    let reason = format!("the document has more than {MAX_DOCUMENT_BYTES} bytes; shorten it");
    Err(vec![Problem::new("", reason)])
}

fn document(root: &Node, lengths: Lengths) -> Result<Document, Vec<Problem>> {
    let mut reader = Reader {
        lengths,
        problems: Vec::new(),
    };
    let document = reader.document(root);
    if reader.problems.is_empty() {
        Ok(document)
    } else {
        Err(reader.problems)
    }
}

struct Reader {
    lengths: Lengths,
    problems: Vec<Problem>,
}

/// A table of the tree, with its path.
struct Table<'n> {
    path: String,
    entries: &'n [(String, Node)],
}

impl<'n> Table<'n> {
    fn get(&self, field: &str) -> Option<&'n Node> {
        let mut entries = self.entries.iter();
        entries.find_map(|(key, node)| (key == field).then_some(node))
    }

    fn path(&self, field: &str) -> String {
        if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.path)
        }
    }
}

impl Reader {
    fn refuse(&mut self, path: &str, node: &Node, reason: impl Into<String>) {
        let problem = Problem::new(path, reason).at(node.place);
        self.problems.push(match &node.value {
            Value::Text(text) => problem.with_value(quoted(text)),
            Value::Number(number) => problem.with_value(number),
            Value::Table(_) | Value::Other(_) => problem,
        });
    }

    /// The table at this path. Anything else is refused.
    fn table<'n>(&mut self, path: String, node: &'n Node) -> Table<'n> {
        let entries: &[_] = match &node.value {
            Value::Table(entries) => entries,
            other => {
                let reason = format!("it is {}; it must be a table", other.kind());
                self.refuse(&path, node, reason);
                &[]
            }
        };
        Table { path, entries }
    }

    /// The table in this field, which may be absent.
    fn subtable<'n>(&mut self, table: &Table<'n>, field: &str) -> Option<Table<'n>> {
        let node = table.get(field)?;
        Some(self.table(table.path(field), node))
    }

    /// Refuses fields that the table does not have.
    fn only(&mut self, table: &Table<'_>, fields: &[&str], more: &[&str]) {
        for (key, node) in table.entries {
            if fields.iter().chain(more).any(|field| field == key) {
                continue;
            }
            let known: Vec<_> = fields.iter().chain(more).copied().collect();
            let reason = format!(
                "{} is no field here; the fields are {}",
                quoted(key),
                known.join(", ")
            );
            let problem = Problem::new(&table.path, reason).at(node.place);
            self.problems.push(problem.with_value(quoted(key)));
        }
    }

    fn document(&mut self, root: &Node) -> Document {
        let root = self.table(String::new(), root);
        self.only(&root, &DOCUMENT_FIELDS, &[]);
        self.schema(&root);
        let classes = self.classes(&root);
        let document = Document {
            profile: self.profile(&root),
            limits: self.limits_in(&root, "limits"),
            environments: self.environments(&root, &classes),
            classes,
            cap: self.limits_in(&root, "cap"),
            flagged: self.flagged(&root),
            demands: self.demands(&root),
            justifications: self.justifications(&root),
        };
        let set = document.set_paths();
        for path in document.justifications.keys() {
            if !set.contains(path) {
                let reason = format!(
                    "{} is no value that the document sets; name one, such as limits.absolute",
                    quoted(path)
                );
                let problem = Problem::new("justification", reason);
                self.problems.push(problem.with_value(quoted(path)));
            }
        }
        document
    }

    fn schema(&mut self, root: &Table<'_>) {
        match root.get("schema") {
            None => self.problems.push(Problem::new(
                "schema",
                format!("it is missing; write `schema = {SCHEMA}`"),
            )),
            Some(node) => match node.value {
                Value::Number(SCHEMA) => {}
                _ => {
                    let reason = format!("this version reads only `schema = {SCHEMA}`");
                    self.refuse("schema", node, reason);
                }
            },
        }
    }

    fn profile(&mut self, root: &Table<'_>) -> Profile {
        let Some(node) = root.get("profile") else {
            return Profile::default();
        };
        let known = match &node.value {
            Value::Text(name) => Profile::of(name),
            _ => None,
        };
        known.unwrap_or_else(|| {
            let names = Profile::ALL.map(Profile::name).join(", ");
            let known = match &node.value {
                Value::Text(name) => format!("there is no profile {}; ", quoted(name)),
                _ => String::new(),
            };
            self.refuse("profile", node, format!("{known}it must be one of {names}"));
            Profile::default()
        })
    }

    /// The entries of a table whose fields are names, at most so many.
    fn named<'n>(
        &mut self,
        table: &Table<'n>,
        field: &str,
        most: usize,
    ) -> Vec<(&'n str, Table<'n>)> {
        let Some(names) = self.subtable(table, field) else {
            return Vec::new();
        };
        if names.entries.len() > most {
            let number = names.entries.len();
            let reason =
                format!("it has {number} entries; remove some, so that it has at most {most}");
            let problem = Problem::new(&names.path, reason);
            self.problems.push(problem.with_value(number));
        }
        let mut tables = Vec::new();
        for (name, node) in names.entries {
            if is_name(name) {
                tables.push((name.as_str(), self.table(names.path(name), node)));
            } else {
                let reason = format!(
                    "{} is no name; a name is 1 to 32 of `a-z`, `0-9`, `_` and `-`, beginning \
                     with a letter",
                    quoted(name)
                );
                let problem = Problem::new(&names.path, reason).at(node.place);
                self.problems.push(problem.with_value(quoted(name)));
            }
        }
        tables
    }

    fn classes(&mut self, table: &Table<'_>) -> BTreeMap<String, LimitTable> {
        let classes = self.named(table, "class", MAX_CLASSES);
        let read = classes
            .into_iter()
            .map(|(name, table)| (name.to_owned(), self.limits(&table, &[])));
        read.collect()
    }

    fn environments(
        &mut self,
        root: &Table<'_>,
        classes: &BTreeMap<String, LimitTable>,
    ) -> BTreeMap<String, Environment> {
        let mut environments = BTreeMap::new();
        for (name, table) in self.named(root, "environment", MAX_CLASSES) {
            let mut environment = Environment {
                limits: self.limits(&table, &ENVIRONMENT_FIELDS),
                classes: self.classes(&table),
                cap: self.limits_in(&table, "cap"),
            };
            for class in environment.classes.keys() {
                if !classes.contains_key(class) {
                    let path = format!("environment.{name}.class.{class}");
                    let known = classes.keys().map(String::as_str).collect::<Vec<_>>();
                    let reason = match known.join(", ") {
                        known if known.is_empty() => format!("add [class.{class}]"),
                        known => {
                            format!("correct the name (there are {known}), or add [class.{class}]")
                        }
                    };
                    let reason = format!("there is no class.{class}; {reason}");
                    self.problems.push(Problem::new(path, reason));
                }
            }
            // Here, a class without limits says nothing.
            environment.classes.retain(|_, limits| !limits.is_empty());
            environments.insert(name.to_owned(), environment);
        }
        environments
    }

    fn limits_in(&mut self, table: &Table<'_>, field: &str) -> LimitTable {
        match self.subtable(table, field) {
            Some(limits) => self.limits(&limits, &[]),
            None => LimitTable::default(),
        }
    }

    /// The limits in a table, which may have more fields.
    fn limits(&mut self, table: &Table<'_>, more: &[&str]) -> LimitTable {
        self.only(table, &FIELDS, more);
        let mut limits = LimitTable::default();
        for limit in [
            LimitName::Idle,
            LimitName::Absolute,
            LimitName::PrivilegedIdle,
            LimitName::Elevation,
        ] {
            self.length_into(&mut limits, limit, table, limit.as_str());
        }
        if let Some(node) = table.get("sessions")
            && let Some(count) = self.count(&table.path("sessions"), node)
        {
            limits.set(
                LimitName::Sessions,
                Setting::Value(LimitValue::Count(count)),
            );
        }
        self.remember(table, &mut limits);
        limits
    }

    fn remember(&mut self, table: &Table<'_>, limits: &mut LimitTable) {
        let Some(node) = table.get("remember") else {
            return;
        };
        let path = table.path("remember");
        match &node.value {
            Value::Text(word) if word == NONE => {
                for limit in REMEMBER {
                    limits.set(limit, Setting::NotRemembered);
                }
            }
            Value::Table(_) => {
                let remember = self.table(path, node);
                self.only(&remember, &REMEMBER_FIELDS, &[]);
                if remember.entries.is_empty() {
                    let reason =
                        "it is empty; set idle and absolute, or write `remember = \"none\"`";
                    self.refuse(&remember.path, node, reason);
                }
                for (limit, field) in REMEMBER.into_iter().zip(REMEMBER_FIELDS) {
                    self.length_into(limits, limit, &remember, field);
                }
            }
            other => {
                let reason = format!(
                    "it is {}; it must be a table with idle and absolute, or \"{NONE}\"",
                    other.kind()
                );
                self.refuse(&path, node, reason);
            }
        }
    }

    fn length_into(
        &mut self,
        limits: &mut LimitTable,
        limit: LimitName,
        table: &Table<'_>,
        field: &str,
    ) {
        if let Some(length) = self.length(table, field) {
            limits.set(limit, Setting::Value(LimitValue::Length(length)));
        }
    }

    /// The length of time in this field, if it is there.
    fn length(&mut self, table: &Table<'_>, field: &str) -> Option<Duration> {
        let node = table.get(field)?;
        let read = match (self.lengths, &node.value) {
            (Lengths::Text, Value::Text(text)) => parse_length(text)
                .map_err(|invalid| format!("{} is refused: {invalid}", quoted(text))),
            (Lengths::Milliseconds, Value::Number(millis)) => match u64::try_from(*millis) {
                Ok(millis) => Ok(Duration::from_millis(millis)),
                Err(_) => Err(format!("{millis} is negative; write at least 1000")),
            },
            (Lengths::Text, other) => Err(format!(
                "it is {}; it must be text with a number and a unit, such as \"15m\"",
                other.kind()
            )),
            (Lengths::Milliseconds, other) => Err(format!(
                "it is {}; it must be a number of milliseconds",
                other.kind()
            )),
        };
        let read = read.and_then(|length| {
            if length < SHORTEST {
                let (length, least) = (length_text(length), length_text(SHORTEST));
                return Err(format!(
                    "it is {length}; the shortest length is {least}; raise it"
                ));
            }
            Ok(length)
        });
        read.map_err(|reason| self.refuse(&table.path(field), node, reason))
            .ok()
    }

    fn count(&mut self, path: &str, node: &Node) -> Option<u32> {
        let most = library(LimitName::Sessions);
        let count = match node.value {
            Value::Number(number) => u32::try_from(number).ok(),
            _ => None,
        };
        let count = count.filter(|count| (1..=most.amount()).contains(&u64::from(*count)));
        if count.is_none() {
            let reason = format!("it must be a whole number from 1 to {most}");
            self.refuse(path, node, reason);
        }
        count
    }

    fn text<'n>(&mut self, table: &Table<'n>, field: &str, most: usize) -> Option<&'n str> {
        let node = table.get(field)?;
        match &node.value {
            Value::Text(text) if is_readable(text) && text.len() <= most => Some(text),
            _ => {
                let reason =
                    format!("it must be text of 1 to {most} bytes, without control characters");
                self.refuse(&table.path(field), node, reason);
                None
            }
        }
    }

    fn flagged(&mut self, root: &Table<'_>) -> FlaggedLimits {
        let Some(flagged) = self.subtable(root, "flagged") else {
            return FlaggedLimits::default();
        };
        self.only(&flagged, &FLAGGED_FIELDS, &[]);
        if flagged.entries.is_empty() {
            let reason = "it is empty; set idle or elevation, or remove it";
            self.problems.push(Problem::new(&flagged.path, reason));
        }
        let idle = self.length(&flagged, "idle");
        self.within(&flagged, "idle", idle, LimitName::Idle);
        let elevation = match flagged.get("elevation") {
            None => FlaggedElevation::Unchanged,
            Some(node) => {
                if !matches!(&node.value, Value::Text(word) if word == NONE) {
                    let reason = format!("the only value is \"{NONE}\"");
                    self.refuse(&flagged.path("elevation"), node, reason);
                }
                FlaggedElevation::Ended
            }
        };
        FlaggedLimits { idle, elevation }
    }

    /// Refuses a length that the bound of this limit makes meaningless.
    fn within(
        &mut self,
        table: &Table<'_>,
        field: &str,
        length: Option<Duration>,
        limit: LimitName,
    ) {
        let (Some(length), Some(node)) = (length, table.get(field)) else {
            return;
        };
        let (length, most) = (LimitValue::Length(length), library(limit));
        if length.amount() > most.amount() {
            let reason = format!("it is {length}; the library accepts at most {most}; lower it");
            let problem = Problem::new(table.path(field), reason).at(node.place);
            let problem = problem.with_value(length).against("library", most);
            self.problems.push(problem);
        }
    }

    fn demands(&mut self, root: &Table<'_>) -> BTreeMap<String, DemandLimits> {
        let mut demands = BTreeMap::new();
        for (name, table) in self.named(root, "demand", MAX_DEMANDS) {
            self.only(&table, &DEMAND_FIELDS, &[]);
            if table.entries.is_empty() {
                let reason = "it demands nothing; set idle, max_auth_age or scope, or remove it";
                self.problems.push(Problem::new(&table.path, reason));
            }
            let idle = self.length(&table, "idle");
            self.within(&table, "idle", idle, LimitName::PrivilegedIdle);
            let max_auth_age = self.length(&table, "max_auth_age");
            self.within(&table, "max_auth_age", max_auth_age, LimitName::Absolute);
            let scope = self.text(&table, "scope", MAX_SCOPE_BYTES);
            let demand = DemandLimits {
                idle,
                max_auth_age,
                scope: scope.map(|scope| scope.to_owned().into()),
            };
            demands.insert(name.to_owned(), demand);
        }
        demands
    }

    fn justifications(&mut self, root: &Table<'_>) -> BTreeMap<String, String> {
        const MOST: usize = 2000;
        let Some(table) = self.subtable(root, "justification") else {
            return BTreeMap::new();
        };
        let mut justifications = BTreeMap::new();
        for (path, _) in table.entries {
            if let Some(text) = self.text(&table, path, MOST) {
                justifications.insert(path.clone(), text.to_owned());
            }
        }
        justifications
    }
}

/// Text that people can read, on one or several lines.
fn is_readable(text: &str) -> bool {
    let is_control = |character: char| character.is_control() && character != '\n';
    !text.trim().is_empty() && !text.contains(is_control)
}
