//! What a client prefers to receive, read from its `Accept` fields (RFC 9110, 12.5.1).

use http::{HeaderMap, header::ACCEPT};

/// Whether the client asks for a page and does not prefer JSON.
///
/// The client must name a page: `text/html`, `application/xhtml+xml` or `text/*`. Programs send
/// `*/*`, so it never counts.
pub(crate) fn prefers_page(headers: &HeaderMap) -> bool {
    let mut preferences = Preferences::default();
    for value in headers.get_all(ACCEPT) {
        if let Ok(value) = value.to_str() {
            split(value, ',').for_each(|range| preferences.add(range));
        }
    }
    let page = preferences.page.or(preferences.text).unwrap_or(0);
    page > 0
        && page
            >= preferences
                .json
                .or(preferences.application)
                .or(preferences.all)
                .unwrap_or(0)
}

/// Weights in thousandths. A more specific range takes precedence over a less specific one.
#[derive(Debug, Default)]
struct Preferences {
    page: Option<u16>,
    text: Option<u16>,
    json: Option<u16>,
    application: Option<u16>,
    all: Option<u16>,
}

impl Preferences {
    fn add(&mut self, range: &str) {
        let mut parts = split(range, ';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let Some(weight) = weight(parts) else {
            return;
        };
        let is = |range: &str| name.eq_ignore_ascii_case(range);
        let operation = if is("text/html") || is("application/xhtml+xml") {
            &mut self.page
        } else if is("text/*") {
            &mut self.text
        } else if is("application/json") || is("application/problem+json") {
            &mut self.json
        } else if is("application/*") {
            &mut self.application
        } else if is("*/*") {
            &mut self.all
        } else {
            return;
        };
        *operation = Some(operation.map_or(weight, |other| other.max(weight)));
    }
}

/// The weight among the parameters of a range; `None` if it is not a valid weight.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    let written = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("q").then_some(value)
    });
    let Some(written) = written else {
        return Some(1000);
    };
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    if fraction.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let unit = [0, 100, 10, 1].get(fraction.len())?;
    let thousandths = fraction.parse().unwrap_or(0) * unit;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Splits a list, but not within quotes.
fn split(list: &str, at: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            character => return character == at && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn s052_a_client_gets_a_page_only_if_it_asks_for_one() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, expected) in [
            (chromium, true),
            (firefox, true),
            ("text/html", true),
            ("TEXT/HTML", true),
            ("text/html,*/*", true),
            ("text/html, application/json", true),
            ("text/html;level=1;q=0.5", true),
            ("text/html;a=\"b,c;q=0\"", true),
            ("text/html;a=\"b\\\",c;q=0\"", true),
            ("application/xhtml+xml", true),
            ("text/*", true),
            ("application/json;q=0.2, text/html;q=0.3", true),
            ("application/json, text/html;q=0", false),
            ("text/html;q=0, */*", false),
            ("text/html;q=0.000", false),
            ("text/html;Q=0", false),
            ("text/html ; q=0", false),
            ("application/json, text/html;q=0.9", false),
            ("application/problem+json, text/html;q=0.9", false),
            ("application/*, text/html;q=0.9", false),
            ("*/*, text/html;q=0.5", false),
            ("*/*", false),
            ("*/*;q=0.8", false),
            ("application/json, text/plain, */*", false),
            ("application/json", false),
            ("text/*;q=0", false),
            ("text/html;q=2", false),
            ("text/html;q=0.1234", false),
            ("text/html;q=", false),
            ("text/html2", false),
            ("x=\"text/html\"", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_page(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        for (second, expected) in [("text/html", true), ("text/html;q=0.5", false)] {
            let mut headers = HeaderMap::new();
            for accept in ["application/json", second] {
                headers.append(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(prefers_page(&headers), expected);
        }
        assert!(!prefers_page(&HeaderMap::new()));
    }
}
