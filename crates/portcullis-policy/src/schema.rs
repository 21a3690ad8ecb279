//! The JSON Schema of documents.

/// The JSON Schema (draft 2020-12) of documents, for editors. It has the form of a document, and
/// not the rules between values.
pub const JSON_SCHEMA: &str = include_str!("../schema/policy.schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portcullis_core::policy::{is_name, parse_length};
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::{
        Document, MAX_CLASSES, MAX_DEMANDS, Profile,
        node::{self, Node},
        read::{DEMAND_FIELDS, DOCUMENT_FIELDS, ENVIRONMENT_FIELDS, FLAGGED_FIELDS},
        table::{FIELDS, REMEMBER_FIELDS},
    };

    const LENGTH: &str = "^([1-9][0-9]{3,6}ms|[1-9][0-9]{0,6}[smhd])$";
    const NAME: &str = "^[a-z][a-z0-9_-]{0,31}$";

    fn schema() -> Value {
        serde_json::from_str(JSON_SCHEMA).unwrap()
    }

    fn definition<'s>(schema: &'s Value, name: &str) -> &'s Value {
        &schema["$defs"][name]
    }

    fn fields(of: &Value) -> BTreeSet<&str> {
        let properties = of["properties"].as_object().unwrap();
        properties.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_schema_has_the_fields_of_the_document() {
        let schema = schema();
        let of = |name: &str| definition(&schema, name);
        let environment: BTreeSet<_> = FIELDS.into_iter().chain(ENVIRONMENT_FIELDS).collect();
        assert_eq!(fields(&schema), BTreeSet::from(DOCUMENT_FIELDS));
        assert_eq!(fields(of("limits")), BTreeSet::from(FIELDS));
        assert_eq!(fields(of("environment")), environment);
        assert_eq!(fields(of("flagged")), BTreeSet::from(FLAGGED_FIELDS));
        assert_eq!(fields(of("demand")), BTreeSet::from(DEMAND_FIELDS));
        let remember = &of("remember")["anyOf"][1];
        assert_eq!(fields(remember), BTreeSet::from(REMEMBER_FIELDS));
    }

    #[test]
    fn the_schema_has_the_figures_of_the_document() {
        let schema = schema();
        let of = |name: &str| definition(&schema, name);
        assert_eq!(
            schema["properties"]["profile"]["enum"],
            json!(Profile::ALL.map(Profile::name))
        );
        assert_eq!(of("classes")["maxProperties"], MAX_CLASSES);
        assert_eq!(
            schema["properties"]["environment"]["maxProperties"],
            MAX_CLASSES
        );
        assert_eq!(schema["properties"]["demand"]["maxProperties"], MAX_DEMANDS);
        assert_eq!(of("name")["pattern"], NAME);
        assert_eq!(of("length")["pattern"], LENGTH);
    }

    /// The names of profiles and the kinds of values have their texts in the documentation.
    #[test]
    fn every_field_has_a_description() {
        fn each(of: &Value, path: &str) {
            for (name, property) in of["properties"].as_object().into_iter().flatten() {
                let described = property["description"].is_string() || property["$ref"].is_string();
                assert!(described, "{path}.{name}");
                each(property, &format!("{path}.{name}"));
            }
        }
        let schema = schema();
        each(&schema, "");
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            assert!(definition["description"].is_string(), "{name}");
            each(definition, name);
        }
    }

    /// Checks a value by the keywords that this schema uses.
    fn check(schema: &Value, rule: &Value, value: &Value) -> Result<(), String> {
        for (keyword, argument) in rule.as_object().unwrap() {
            let holds = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "default" => true,
                "$ref" => {
                    let name = argument.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                    check(schema, definition(schema, name), value)?;
                    true
                }
                "type" => match argument.as_str().unwrap() {
                    "object" => value.is_object(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64(),
                    other => panic!("{other}"),
                },
                "const" => value == argument,
                "enum" => argument.as_array().unwrap().contains(value),
                "anyOf" => {
                    let mut rules = argument.as_array().unwrap().iter();
                    rules.any(|rule| check(schema, rule, value).is_ok())
                }
                "pattern" => match argument.as_str().unwrap() {
                    LENGTH => value
                        .as_str()
                        .is_some_and(|text| parse_length(text).is_ok()),
                    NAME => value.as_str().is_some_and(is_name),
                    other => panic!("{other}"),
                },
                "minLength" => value.as_str().is_some_and(|text| !text.is_empty()),
                "maxLength" => value.as_str().is_some_and(|text| {
                    text.chars().count() <= usize::try_from(argument.as_u64().unwrap()).unwrap()
                }),
                "minimum" => value.as_i64() >= argument.as_i64(),
                "maximum" => value.as_i64() <= argument.as_i64(),
                "minProperties" => {
                    value.as_object().unwrap().len() as u64 >= argument.as_u64().unwrap()
                }
                "maxProperties" => {
                    value.as_object().unwrap().len() as u64 <= argument.as_u64().unwrap()
                }
                "required" => {
                    let mut required = argument.as_array().unwrap().iter();
                    required.all(|field| value.get(field.as_str().unwrap()).is_some())
                }
                "propertyNames" => {
                    for name in value.as_object().unwrap().keys() {
                        check(schema, argument, &json!(name))?;
                    }
                    true
                }
                "properties" => {
                    for (name, rule) in argument.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            check(schema, rule, value)?;
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let known = rule["properties"].as_object();
                    let entries = value.as_object().ok_or("no object")?.iter();
                    let more = entries
                        .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
                    for (name, value) in more {
                        if argument == &json!(false) {
                            return Err(format!("{name} is unknown"));
                        }
                        check(schema, argument, value)?;
                    }
                    true
                }
                other => panic!("the check does not know {other}"),
            };
            if !holds {
                return Err(format!("{value} fails {keyword} {argument}"));
            }
        }
        Ok(())
    }

    fn json_of(node: &Node) -> Value {
        match &node.value {
            node::Value::Text(text) => json!(text),
            node::Value::Number(number) => json!(number),
            node::Value::Table(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, node)| (key.clone(), json_of(node)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
            node::Value::Other(_) => Value::Null,
        }
    }

    fn fits(text: &str) -> Result<(), String> {
        let schema = schema();
        check(&schema, &schema, &json_of(&node::of_toml(text).unwrap()))
    }

    #[test]
    fn the_examples_are_documents_and_fit_the_schema() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policies");
        let mut number = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let document = Document::parse(&text).unwrap_or_else(|it| panic!("{path:?} {it:#?}"));
            let resolved = document.resolve_all(&crate::PolicyBounds::new());
            let resolved = resolved.unwrap_or_else(|it| panic!("{path:?} {it:#?}"));
            assert_eq!(resolved.warnings, [], "{path:?}");
            fits(&text).unwrap_or_else(|it| panic!("{path:?} {it}"));
            number += 1;
        }
        assert!(number >= 3);
    }

    #[test]
    fn the_examples_of_the_chapter_are_documents_and_fit_the_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policies.md");
        let chapter = std::fs::read_to_string(path).unwrap();
        let blocks = chapter.split("```toml\n").skip(1);
        let examples: Vec<_> = blocks
            .filter_map(|block| block.split("```").next())
            .collect();
        assert_eq!(examples.len(), 4);
        for text in examples {
            let document = Document::parse(text).unwrap_or_else(|it| panic!("{text} {it:#?}"));
            let resolved = document.resolve_all(&crate::PolicyBounds::new());
            let resolved = resolved.unwrap_or_else(|it| panic!("{text} {it:#?}"));
            assert_eq!(resolved.warnings, [], "{text}");
            fits(text).unwrap_or_else(|it| panic!("{text} {it}"));
        }
    }

    #[test]
    fn the_schema_and_the_reader_refuse_the_same_forms() {
        for text in [
            "",
            "schema = 2",
            "schema = 1\nprofile = 'none'",
            "schema = 1\nunknown = 1",
            "schema = 1\nlimits.idle = 15",
            "schema = 1\nlimits.idle = 'never'",
            "schema = 1\nlimits.sessions = 0",
            "schema = 1\nlimits.sessions = 1001",
            "schema = 1\nlimits.remember = 'all'",
            "schema = 1\nlimits.remember = {}",
            "schema = 1\nlimits.unknown = 1",
            "schema = 1\nclass.Admin = {}",
            "schema = 1\nclass.admin = 1",
            "schema = 1\nclass.admin.unknown = 1",
            "schema = 1\nenvironment.e.unknown = 1",
            "schema = 1\nenvironment.e.cap.unknown = 1",
            "schema = 1\nflagged = {}",
            "schema = 1\nflagged.elevation = 'all'",
            "schema = 1\ndemand.d = {}",
            "schema = 1\ndemand.d.scope = ''",
            "schema = 1\njustification.x = 1",
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
            assert!(fits(text).is_err(), "{text}");
        }
    }
}
