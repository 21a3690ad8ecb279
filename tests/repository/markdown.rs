//! What these tests need to know of a page in GitHub's Markdown.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use pulldown_cmark::{BrokenLink, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

pub(crate) struct Page {
    pub(crate) links: Vec<Link>,
    /// What may follow a `#`.
    pub(crate) anchors: HashSet<String>,
    /// Parts that cannot wrap: tables, code, headings, HTML and the addresses of reference links.
    pub(crate) unwrappable: Vec<Range<usize>>,
}

pub(crate) struct Link {
    pub(crate) range: Range<usize>,
    pub(crate) target: Target,
}

pub(crate) enum Target {
    Address(String),
    /// `[text][label]` on a page that does not define the label.
    Undefined(String),
}

impl Page {
    pub(crate) fn of(text: &str) -> Self {
        let mut undefined = Vec::new();
        let parser = Parser::new_with_broken_link_callback(
            text,
            Options::ENABLE_GFM
                | Options::ENABLE_TABLES
                | Options::ENABLE_FOOTNOTES
                | Options::ENABLE_STRIKETHROUGH
                | Options::ENABLE_TASKLISTS,
            Some(|link: BrokenLink<'_>| {
                // `[text]` alone is text in brackets.
                if link.link_type != LinkType::Shortcut {
                    undefined.push(Link {
                        range: link.span.clone(),
                        target: Target::Undefined(link.reference.to_string()),
                    });
                }
                None::<(CowStr<'_>, CowStr<'_>)>
            }),
        );
        let definitions = parser.reference_definitions().iter();
        let mut page = Self {
            links: Vec::new(),
            anchors: HashSet::new(),
            unwrappable: definitions
                .map(|(_, definition)| definition.span.clone())
                .collect(),
        };
        let mut heading = None;
        let mut slugs = HashMap::new();
        for (event, range) in parser.into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => {
                    heading = Some(String::new());
                    page.unwrappable.push(range);
                }
                Event::End(TagEnd::Heading(_)) => {
                    let title = heading.take().unwrap_or_default();
                    page.anchors.insert(unique(slug(&title), &mut slugs));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Start(Tag::Table(_) | Tag::CodeBlock(_) | Tag::HtmlBlock) => {
                    page.unwrappable.push(range);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(Link {
                        range,
                        target: Target::Address(dest_url.to_string()),
                    });
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    // A line of tags, such as of pictures side by side.
                    if text[..range.start].ends_with('\n') || range.start == 0 {
                        page.unwrappable.push(range.clone());
                    }
                    page.anchors.extend(attributes(&html, &["id", "name"]));
                    let targets = attributes(&html, &["href", "src", "srcset"]);
                    page.links.extend(targets.map(|target| Link {
                        range: range.clone(),
                        target: Target::Address(target),
                    }));
                }
                _ => {}
            }
        }
        page.links.append(&mut undefined);
        page
    }
}

/// The anchor that GitHub makes of a heading's text.
fn slug(title: &str) -> String {
    title
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}

/// GitHub counts headings of the same text.
fn unique(slug: String, seen: &mut HashMap<String, usize>) -> String {
    let count = seen.entry(slug.clone()).or_default();
    *count += 1;
    match *count {
        1 => slug,
        count => format!("{slug}-{}", count - 1),
    }
}

/// The values of `name="value"` in a piece of HTML.
fn attributes(html: &str, names: &[&str]) -> impl Iterator<Item = String> {
    let mut values = Vec::new();
    for name in names {
        for part in html.split(&format!(" {name}=\"")).skip(1) {
            values.extend(part.split('"').next().map(str::to_owned));
        }
    }
    values.into_iter()
}

/// Counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

#[test]
fn a_slug_is_what_github_makes_of_a_heading() {
    for (title, expected) in [
        ("The rules", "the-rules"),
        ("What it costs, and why", "what-it-costs-and-why"),
        ("Redis: one `GET`", "redis-one-get"),
        ("a_b — c/d", "a_b--cd"),
        ("Größe 2", "größe-2"),
    ] {
        let page = Page::of(&format!("# {title}\n"));
        assert_eq!(page.anchors, HashSet::from([expected.to_owned()]));
    }
}

#[test]
fn headings_of_the_same_text_are_counted() {
    let page = Page::of("# A\n\n# B\n\n## A\n\n## `A`\n");
    let expected = ["a", "b", "a-1", "a-2"].map(str::to_owned);
    assert_eq!(page.anchors, HashSet::from(expected));
}
