//! HTML pages without script and style, so that no policy of the site blocks them.

use http::HeaderValue;

/// The `Content-Type` of the pages.
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// A page. `head` and `body` are markup; `title` is text.
pub(crate) fn page(title: &str, head: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         {head}<title>{title}</title>\n{body}</html>\n"
    )
}

/// Escapes text for markup, also between quotes.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_one_document_with_an_escaped_title() {
        assert_eq!(
            page(
                "<&>",
                "<meta name=\"robots\" content=\"noindex\">\n",
                "<p>Text</p>\n"
            ),
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n<title>&lt;&amp;&gt;</title>\n<p>Text</p>\n</html>\n"
        );
    }
}
