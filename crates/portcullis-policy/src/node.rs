//! The tree of a document, from TOML or from its canonical form.

use toml::de::{DeTable, DeValue};

use crate::problem::{Place, Problem};

/// A value, with its place in the text.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Option<Place>,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Table(Vec<(String, Node)>),
    /// What no field is, by its name.
    Other(&'static str),
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "a number without a unit",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// The tree of a TOML text, or all of its errors of syntax.
pub(crate) fn of_toml(text: &str) -> Result<Node, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node {
            place: None,
            value: of_table(text, table.get_ref()),
        });
    }
    let problem = |error: &toml::de::Error| {
        let place = error.span().map(|span| Place::of(text, span.start));
        Problem::new("", format!("it is not TOML: {}", error.message())).at(place)
    };
    Err(errors.iter().map(problem).collect())
}

fn of_table(text: &str, table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
        let node = Node {
            place: Some(Place::of(text, key.span().start)),
            value: of_value(text, value.get_ref()),
        };
        (key.get_ref().to_string(), node)
    };
    Value::Table(table.iter().map(entry).collect())
}

fn of_value(text: &str, value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(string) => Value::Text(string.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Value::Other("too large a number"), Value::Number),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Boolean(_) => Value::Other("`true` or `false`"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(_) => Value::Other("a list"),
        DeValue::Table(table) => of_table(text, table),
    }
}

/// The tree of a JSON text, or its error of syntax.
pub(crate) fn of_json(text: &str) -> Result<Node, Vec<Problem>> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        let place = Place {
            line: error.line(),
            column: error.column(),
        };
        vec![Problem::new("", format!("it is not JSON: {error}")).at(Some(place))]
    })?;
    Ok(of_json_value(value))
}

fn of_json_value(value: serde_json::Value) -> Node {
    let value = match value {
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map_or(Value::Other("no whole number"), Value::Number),
        serde_json::Value::Object(entries) => {
            let entries = entries.into_iter();
            Value::Table(
                entries
                    .map(|(key, value)| (key, of_json_value(value)))
                    .collect(),
            )
        }
        serde_json::Value::Null => Value::Other("`null`"),
        serde_json::Value::Bool(_) => Value::Other("`true` or `false`"),
        serde_json::Value::Array(_) => Value::Other("a list"),
    };
    Node { place: None, value }
}
