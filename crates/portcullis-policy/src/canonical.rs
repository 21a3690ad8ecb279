//! The canonical form of a document, and its digest.

use std::{collections::BTreeMap, time::Duration};

use portcullis_core::policy::{DemandLimits, FlaggedElevation, FlaggedLimits, LimitName};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    document::{Document, Environment},
    table::{LimitTable, NONE, REMEMBER, REMEMBER_FIELDS, Setting},
};

/// A value of the form. Its keys are sorted, whatever features `serde_json` has.
#[derive(Serialize)]
#[serde(untagged)]
enum Form {
    Number(u64),
    Text(String),
    Table(Table),
}

type Table = BTreeMap<String, Form>;

impl Document {
    /// The canonical form: JSON with sorted keys, without spaces, and with lengths in milliseconds.
    /// Empty tables are left out, except classes and environments, whose names count.
    ///
    /// Documents that set the same values at the same paths have the same form. Order, comments and
    /// spelling (`60m`, `1h`) do not matter. A value that repeats a default does.
    pub fn canonical(&self) -> String {
        form(self)
    }

    /// The digest: the SHA-256 of the [canonical form](Self::canonical), in hexadecimal. Logs name
    /// a policy by it.
    pub fn digest(&self) -> String {
        digest(&self.canonical())
    }
}

fn form(document: &Document) -> String {
    let mut root = Table::new();
    root.insert("schema".to_owned(), Form::Number(1));
    root.insert("profile".to_owned(), text(document.profile.name()));
    insert(&mut root, "limits", limits(&document.limits));
    insert(&mut root, "cap", limits(&document.cap));
    insert(&mut root, "class", classes(&document.classes));
    let environments = document.environments.iter();
    let environments = environments.map(|(name, it)| (name.clone(), environment(it)));
    insert(&mut root, "environment", environments.collect());
    insert(&mut root, "flagged", flagged(document.flagged));
    let demands = document.demands.iter();
    let demands = demands.map(|(name, it)| (name.clone(), Form::Table(demand(it))));
    insert(&mut root, "demand", demands.collect());
    let justifications = document.justifications.iter();
    let justifications = justifications.map(|(path, why)| (path.clone(), text(why)));
    insert(&mut root, "justification", justifications.collect());
    // Text, numbers and tables with text as keys always have a form.
    serde_json::to_string(&root).unwrap_or_default()
}

fn digest(form: &str) -> String {
    let digest = Sha256::digest(form.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An empty table means the same as none.
fn insert(table: &mut Table, field: &str, value: Table) {
    if !value.is_empty() {
        table.insert(field.to_owned(), Form::Table(value));
    }
}

fn text(text: &str) -> Form {
    Form::Text(text.to_owned())
}

fn millis(length: Duration) -> Form {
    Form::Number(portcullis_core::millis(length))
}

fn limits(table: &LimitTable) -> Table {
    let mut form = Table::new();
    let mut remember = Table::new();
    for (limit, setting) in table.iter() {
        let remembered = REMEMBER.iter().position(|it| *it == limit);
        let field = remembered.and_then(|position| REMEMBER_FIELDS.get(position));
        match (setting, field) {
            (Setting::NotRemembered, _) => {
                form.insert("remember".to_owned(), text(NONE));
            }
            (Setting::Value(value), Some(field)) => {
                remember.insert((*field).to_owned(), Form::Number(value.amount()));
            }
            (Setting::Value(value), None) => {
                form.insert(field_of(limit), Form::Number(value.amount()));
            }
        }
    }
    insert(&mut form, "remember", remember);
    form
}

fn field_of(limit: LimitName) -> String {
    limit.as_str().to_owned()
}

/// A class without limits is named all the same.
fn classes(classes: &BTreeMap<String, LimitTable>) -> Table {
    let classes = classes.iter();
    let form = |(name, table): (&String, &LimitTable)| (name.clone(), Form::Table(limits(table)));
    classes.map(form).collect()
}

fn environment(environment: &Environment) -> Form {
    let mut form = limits(&environment.limits);
    insert(&mut form, "class", classes(&environment.classes));
    insert(&mut form, "cap", limits(&environment.cap));
    Form::Table(form)
}

fn flagged(flagged: FlaggedLimits) -> Table {
    let mut form = Table::new();
    if let Some(idle) = flagged.idle {
        form.insert("idle".to_owned(), millis(idle));
    }
    match flagged.elevation {
        FlaggedElevation::Unchanged => {}
        FlaggedElevation::Ended => {
            form.insert("elevation".to_owned(), text(NONE));
        }
    }
    form
}

fn demand(demand: &DemandLimits) -> Table {
    let mut form = Table::new();
    if let Some(idle) = demand.idle {
        form.insert("idle".to_owned(), millis(idle));
    }
    if let Some(age) = demand.max_auth_age {
        form.insert("max_auth_age".to_owned(), millis(age));
    }
    if let Some(scope) = &demand.scope {
        form.insert("scope".to_owned(), text(scope));
    }
    form
}
