//! The part of Rust's syntax that imports need.

/// The tokens of a source text, without comments and literals. Identifiers and `::` are one token
/// each, everything else is one character.
pub(crate) fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        at += match rest {
            ['/', '/', ..] => until(rest, &['\n']),
            ['/', '*', ..] => until(rest, &['*', '/']),
            ['"', ..] => string(rest),
            ['r', '"' | '#', ..] if raw_string(rest).is_some() => raw_string(rest).unwrap(),
            ['\'', '\\', ..] => 2 + until(&rest[2..], &['\'']),
            ['\'', _, '\'', ..] => 3,
            [':', ':', ..] => {
                tokens.push("::".to_owned());
                2
            }
            [first, ..] if first.is_alphabetic() || *first == '_' => {
                let is_word = |c: &&char| c.is_alphanumeric() || **c == '_';
                let word: String = rest.iter().take_while(is_word).collect();
                let length = word.chars().count();
                tokens.push(word);
                length
            }
            [space, ..] if space.is_whitespace() => 1,
            [other, ..] => {
                tokens.push(other.to_string());
                1
            }
            [] => break,
        };
    }
    tokens
}

/// The length up to and including `end`.
fn until(text: &[char], end: &[char]) -> usize {
    let found = text.windows(end.len()).position(|part| part == end);
    found.map_or(text.len(), |at| at + end.len())
}

fn string(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(text: &[char]) -> Option<usize> {
    let hashes = text[1..].iter().take_while(|c| **c == '#').count();
    if text.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let end = [vec!['"'], vec!['#'; hashes]].concat();
    let start = 2 + hashes;
    Some(start + until(&text[start..], &end))
}

/// The tokens without modules that are only there for tests, and the names of those in files of
/// their own.
pub(crate) fn without_tests(tokens: &[String]) -> (Vec<String>, Vec<String>) {
    let cfg_test = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let (mut kept, mut in_files, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        if !starts_with(&tokens[at..], &cfg_test) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += cfg_test.len();
        match tokens.get(at + 1).map(String::as_str) {
            Some("{") => at += 1 + block(&tokens[at + 1..]),
            _ => {
                in_files.push(tokens[at].clone());
                at += 2;
            }
        }
    }
    (kept, in_files)
}

/// How many tokens the block takes that begins here.
fn block(tokens: &[String]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn starts_with(tokens: &[String], start: &[&str]) -> bool {
    tokens.len() >= start.len() && tokens.iter().zip(start).all(|(one, other)| one == other)
}

/// A path that a module names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// The name under which it is re-exported.
    pub(crate) exported: Option<String>,
}

/// All imports and inline paths that begin with `crate`, `super`, `self` or a name.
pub(crate) fn imports(tokens: &[String]) -> Vec<Import> {
    let (mut imports, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let before = at.checked_sub(1).map(|before| tokens[before].as_str());
        match tokens[at].as_str() {
            "use" if before != Some("::") && before != Some("<") => {
                let is_exported = matches!(before, Some("pub" | ")"));
                let mut tree = Vec::new();
                at += 1 + read_tree(&tokens[at + 1..], &[], &mut tree);
                imports.extend(tree.into_iter().map(|(path, name)| Import {
                    path,
                    exported: is_exported.then_some(name),
                }));
            }
            // `pub(in crate::…)` names a module and imports nothing.
            "crate" | "super"
                if !matches!(before, Some("::" | "in"))
                    && tokens.get(at + 1) == Some(&"::".into()) =>
            {
                let mut path = vec![tokens[at].clone()];
                at += 1;
                while tokens.get(at) == Some(&"::".into()) && is_name(tokens.get(at + 1)) {
                    path.push(tokens[at + 1].clone());
                    at += 2;
                }
                imports.push(Import {
                    path,
                    exported: None,
                });
            }
            _ => at += 1,
        }
    }
    imports
}

fn is_name(token: Option<&String>) -> bool {
    token.is_some_and(|token| token.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// Reads a tree of `use` up to the `;`, `,` or `}` behind it. Returns how many tokens it has.
fn read_tree(
    tokens: &[String],
    prefix: &[String],
    found: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let (mut path, mut at) = (prefix.to_vec(), 0);
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" | "$" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at += read_tree(&tokens[at..], &path, found);
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => {
                let name = tokens.get(at + 1).cloned().unwrap_or_default();
                found.push((path, name));
                return at + 2;
            }
            ";" | "," | "}" => break,
            // `a::{self}` is `a`.
            "self" if !path.is_empty() => at += 1,
            _ => {
                path.push(token.clone());
                at += 1;
            }
        }
    }
    let name = path.last().cloned().unwrap_or_default();
    found.push((path, name));
    at
}
