//! Response headers that a refusal takes over from the response that it replaces.

use http::{HeaderMap, HeaderName};

/// Copies the fields that concern the connection between browser and site: reading, framing,
/// embedding and tracing. All other fields are dropped. They describe the dropped body, or report
/// something that was not done: the application's cookie, a `Location`, its own fields.
pub(crate) fn carry_over(answer: &HeaderMap, refusal: &mut HeaderMap) {
    for (name, value) in answer {
        if is_retained(name) {
            refusal.append(name, value.clone());
        }
    }
}

fn is_retained(name: &HeaderName) -> bool {
    const PREFIXES: &[&str] = &[
        "access-control-",
        "content-security-policy",
        "cross-origin-",
        "permissions-policy",
        "ratelimit",
        "x-ratelimit-",
    ];
    let name = name.as_str();
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || matches!(
            name,
            "nel"
                | "origin-agent-cluster"
                | "referrer-policy"
                | "report-to"
                | "reporting-endpoints"
                | "server-timing"
                | "strict-transport-security"
                | "timing-allow-origin"
                | "traceparent"
                | "traceresponse"
                | "tracestate"
                | "vary"
                | "x-content-type-options"
                | "x-correlation-id"
                | "x-dns-prefetch-control"
                | "x-frame-options"
                | "x-permitted-cross-domain-policies"
                | "x-request-id"
                | "x-robots-tag"
                | "x-xss-protection"
        )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn carried(lines: &[&'static str]) -> Vec<String> {
        let (mut answer, mut refusal) = (HeaderMap::new(), HeaderMap::new());
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            answer.append(name, HeaderValue::from_static(value));
        }
        carry_over(&answer, &mut refusal);
        let fields = refusal.iter();
        fields
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn fields_of_other_layers_on_browser_and_site_are_carried_over() {
        let lines = [
            "access-control-allow-origin: https://app.example",
            "content-security-policy: default-src 'none'",
            "content-security-policy: frame-ancestors 'none'",
            "content-security-policy-report-only: default-src 'self'",
            "cross-origin-resource-policy: same-origin",
            "strict-transport-security: max-age=63072000",
            "vary: origin",
            "x-content-type-options: nosniff",
            "x-request-id: 7",
            "x-ratelimit-remaining: 3",
        ];
        assert_eq!(carried(&lines), lines);
    }

    #[test]
    fn rule_2_no_field_that_reports_a_change_is_carried_over() {
        for line in [
            "set-cookie: basket=7",
            "location: /orders/7",
            "refresh: 0; url=/orders/7",
            "hx-redirect: /orders/7",
            "x-order: 7",
            "authorization: Bearer 7",
            "clear-site-data: \"*\"",
        ] {
            assert!(carried(&[line]).is_empty(), "{line}");
        }
    }

    #[test]
    fn no_field_that_describes_the_dropped_body_is_carried_over() {
        for line in [
            "content-type: text/html",
            "content-length: 7",
            "content-encoding: gzip",
            "content-disposition: attachment",
            "etag: \"7\"",
            "last-modified: Thu, 01 Jan 1970 00:00:00 GMT",
            "cache-control: public, max-age=60",
            "cdn-cache-control: max-age=60",
            "expires: Thu, 01 Jan 2970 00:00:00 GMT",
            "accept-ranges: bytes",
            "transfer-encoding: chunked",
        ] {
            assert!(carried(&[line]).is_empty(), "{line}");
        }
    }
}
