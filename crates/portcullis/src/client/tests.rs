use std::net::{IpAddr, SocketAddr};

use http::header::USER_AGENT;
use proptest::prelude::*;

use super::*;

const CLIENT: &str = "203.0.113.7";
const PROXY: &str = "10.0.0.1";

const XFF: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

fn behind() -> ClientAddresses {
    ClientAddresses::behind(["10.0.0.0/8", "2001:db8:ffff::/48", "::1"])
        .unwrap()
        .whole()
}

fn rfc_7239() -> ClientAddresses {
    behind().header(ForwardedHeader::Forwarded)
}

fn headers<V: AsRef<[u8]>>(name: &'static str, fields: &[V]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(name, HeaderValue::from_bytes(field.as_ref()).unwrap());
    }
    headers
}

fn peer(address: &str) -> Extensions {
    let mut extensions = Extensions::new();
    let address: IpAddr = address.parse().unwrap();
    extensions.insert(PeerAddress(SocketAddr::new(address, 50_000)));
    extensions
}

fn client_of<'a>(
    addresses: impl Into<Option<&'a ClientAddresses>>,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Client {
    let user_agent = headers.get(USER_AGENT);
    RequestClient::of(addresses.into(), user_agent, headers, extensions).client()
}

/// The client when `peer` sent these fields.
fn found<V: AsRef<[u8]>>(
    addresses: &ClientAddresses,
    from: &str,
    name: &'static str,
    fields: &[V],
) -> String {
    let client = client_of(addresses, &headers(name, fields), &peer(from));
    client.address().unwrap().to_string()
}

fn x_forwarded_for<V: AsRef<[u8]>>(from: &str, fields: &[V]) -> String {
    found(&behind(), from, XFF, fields)
}

fn forwarded<V: AsRef<[u8]>>(from: &str, fields: &[V]) -> String {
    found(&rfc_7239(), from, FORWARDED, fields)
}

#[test]
fn s083_without_configuration_there_is_no_address() {
    let client = client_of(None, &headers(XFF, &[CLIENT]), &peer(PROXY));
    assert_eq!((client.network(), client.address()), (None, None));
}

#[test]
fn s083_only_the_network_is_kept_unless_whole_addresses_are_configured() {
    let headers = headers("user-agent", &["curl/8.5.0"]);
    let network = client_of(&ClientAddresses::peer(), &headers, &peer(CLIENT));
    assert_eq!(network.to_string(), "curl, 203.0.113.0/24");
    assert_eq!(network.address(), None);
    let whole = client_of(&ClientAddresses::peer().whole(), &headers, &peer(CLIENT));
    assert_eq!(whole.to_string(), "curl, 203.0.113.7");
}

#[test]
fn a_request_without_a_name_or_a_peer_has_an_unknown_client() {
    for addresses in [ClientAddresses::peer(), behind()] {
        let client = client_of(&addresses, &headers(XFF, &[CLIENT]), &Extensions::new());
        assert_eq!(client, Client::default());
    }
}

#[cfg(feature = "axum")]
#[test]
fn the_peer_is_known_from_axum_and_a_server_may_override_it() {
    use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};

    let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
    let found = |extensions: &Extensions| {
        let addresses = ClientAddresses::peer().whole();
        let client = client_of(&addresses, &HeaderMap::new(), extensions);
        client.address().unwrap().to_string()
    };
    let mut extensions = Extensions::new();
    extensions.insert(MockConnectInfo(socket("203.0.113.1:1")));
    assert_eq!(found(&extensions), "203.0.113.1");
    extensions.insert(ConnectInfo(socket("[::ffff:203.0.113.2]:1")));
    assert_eq!(found(&extensions), "203.0.113.2");
    extensions.insert(PeerAddress(socket("203.0.113.3:1")));
    assert_eq!(found(&extensions), "203.0.113.3");
}

#[test]
fn s080_a_header_from_a_peer_that_is_no_proxy_is_ignored() {
    assert_eq!(x_forwarded_for(CLIENT, &["1.2.3.4"]), CLIENT);
    assert_eq!(x_forwarded_for(CLIENT, &["10.0.0.1"]), CLIENT);
    assert_eq!(forwarded(CLIENT, &["for=1.2.3.4"]), CLIENT);
    let direct = ClientAddresses::peer().whole();
    assert_eq!(found(&direct, PROXY, XFF, &[CLIENT]), PROXY);
}

#[test]
fn s080_only_the_chosen_header_is_read() {
    assert_eq!(found(&behind(), PROXY, FORWARDED, &["for=1.2.3.4"]), PROXY);
    assert_eq!(found(&rfc_7239(), PROXY, XFF, &["1.2.3.4"]), PROXY);
}

#[test]
fn s080_the_client_is_the_rightmost_hop_that_is_no_proxy() {
    for fields in [
        &["203.0.113.7"][..],
        &["1.2.3.4, 203.0.113.7"],
        &["1.2.3.4,203.0.113.7,10.0.0.2"],
        &["10.9.9.9, 203.0.113.7, 10.0.0.2 ,\t10.0.0.3"],
        &["1.2.3.4", "203.0.113.7"],
        &["1.2.3.4", "5.6.7.8, 203.0.113.7", "10.0.0.2"],
        &["1.2.3.4, 203.0.113.7", "2001:db8:ffff::1", "::1"],
    ] {
        assert_eq!(x_forwarded_for(PROXY, fields), CLIENT, "{fields:?}");
    }
}

#[test]
fn s080_if_all_hops_are_proxies_the_farthest_is_the_client() {
    assert_eq!(x_forwarded_for(PROXY, &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    assert_eq!(x_forwarded_for(PROXY, &[] as &[&str]), PROXY);
}

#[test]
fn s080_an_unreadable_hop_ends_the_search_at_the_last_trusted_hop() {
    for (field, client) in [
        ("", PROXY),
        ("1.2.3.4, ", PROXY),
        ("1.2.3.4, unknown", PROXY),
        ("1.2.3.4, garbage, 10.0.0.2", "10.0.0.2"),
        ("1.2.3.4, 203.0.113.7.8", PROXY),
        ("1.2.3.4, 010.0.0.2", PROXY),
        ("1.2.3.4, 203.0.113.7:", PROXY),
        ("1.2.3.4, 203.0.113.7:99999", PROXY),
        ("1.2.3.4, [203.0.113.7]", PROXY),
        ("1.2.3.4, \"203.0.113.7\"", PROXY),
        ("1.2.3.4, 203.0.113.7 10.0.0.2", PROXY),
        ("1.2.3.4; 203.0.113.7", PROXY),
    ] {
        assert_eq!(x_forwarded_for(PROXY, &[field]), client, "{field}");
    }
    assert_eq!(x_forwarded_for(PROXY, &[b"1.2.3.4, \xff\xfe"]), PROXY);
}

#[test]
fn hops_may_come_with_ports_and_brackets() {
    for (hop, client) in [
        ("203.0.113.7:4711", CLIENT),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", CLIENT),
        ("[::ffff:203.0.113.7]:4711", CLIENT),
    ] {
        let field = format!("1.2.3.4, {hop}");
        assert_eq!(x_forwarded_for(PROXY, &[field]), client);
    }
}

#[test]
fn a_proxy_is_known_by_its_ipv4_address_also_within_ipv6() {
    assert_eq!(x_forwarded_for("::ffff:10.0.0.1", &[CLIENT]), CLIENT);
    assert_eq!(
        x_forwarded_for(PROXY, &["203.0.113.7, ::ffff:10.0.0.2"]),
        CLIENT
    );
    let mapped = ClientAddresses::behind(["::ffff:10.0.0.0/104"]).unwrap();
    assert_eq!(found(&mapped.whole(), PROXY, XFF, &[CLIENT]), CLIENT);
}

#[test]
fn s080_no_more_than_32_hops_are_read() {
    let hops = |proxies: usize| format!("203.0.113.7{}", ", 10.0.0.2".repeat(proxies));
    assert_eq!(x_forwarded_for(PROXY, &[hops(31)]), CLIENT);
    assert_eq!(x_forwarded_for(PROXY, &[hops(32)]), "10.0.0.2");
    let many: Vec<_> = iter_hops(33).collect();
    assert_eq!(x_forwarded_for(PROXY, &many), "10.0.0.2");
}

fn iter_hops(proxies: usize) -> impl Iterator<Item = String> {
    std::iter::once(CLIENT.to_owned()).chain((0..proxies).map(|_| "10.0.0.2".to_owned()))
}

#[test]
fn s080_a_header_of_64_kib_does_no_harm() {
    for filling in ["a", ",", "10.0.0.2,", "\"", "for=\"", "1.2.3.4,", " "] {
        let huge = filling.repeat(64 * 1024 / filling.len());
        let (hop, element) = (format!("{huge},{CLIENT}"), format!("{huge},for={CLIENT}"));
        assert_eq!(x_forwarded_for(PROXY, &[&hop]), CLIENT, "{filling}");
        assert_eq!(forwarded(PROXY, &[&element]), CLIENT, "{filling}");
        // Without what the proxy appends: the result may be a proxy, and there is no panic.
        x_forwarded_for(PROXY, &[&huge]);
        forwarded(PROXY, &[&huge]);
    }
}

#[test]
fn s080_rfc_7239_is_read_in_all_its_spellings() {
    for (fields, client) in [
        (&["for=203.0.113.7"][..], CLIENT),
        (&["For=\"203.0.113.7\""], CLIENT),
        (&["for=\"203.0.113.7:4711\""], CLIENT),
        (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
        (&["for=\"[2001:db8:cafe::17]\""], "2001:db8:cafe::17"),
        (&["for=203.0.113.7;proto=https;by=10.0.0.1"], CLIENT),
        (&["by=10.0.0.1; proto=https; FOR=203.0.113.7;"], CLIENT),
        (&["for=1.2.3.4, for=203.0.113.7, for=10.0.0.2"], CLIENT),
        (&["for=1.2.3.4", "for=203.0.113.7", "for=10.0.0.2"], CLIENT),
        (&["for=203.0.113.7;host=\"a,b;for=1.2.3.4\""], CLIENT),
    ] {
        assert_eq!(forwarded(PROXY, fields), client, "{fields:?}");
    }
}

#[test]
fn s080_a_hidden_or_malformed_hop_of_rfc_7239_ends_the_search() {
    for (field, client) in [
        ("for=1.2.3.4, for=unknown", PROXY),
        ("for=1.2.3.4, for=_hidden, for=10.0.0.2", "10.0.0.2"),
        ("for=1.2.3.4, for=\"_SEVKISEK\"", PROXY),
        ("for=1.2.3.4, proto=https", PROXY),
        ("for=1.2.3.4, for=203.0.113.7;for=5.6.7.8", PROXY),
        ("for=1.2.3.4, for", PROXY),
        ("for=1.2.3.4, for=", PROXY),
        ("for=1.2.3.4, for=\"203.0.113.7", PROXY),
        ("for=1.2.3.4, for=203.0.113.7\"", PROXY),
        ("for=1.2.3.4, for=\"203.0.113\\.7\"", PROXY),
        ("for=1.2.3.4, 203.0.113.7", PROXY),
        ("for=1.2.3.4,", PROXY),
    ] {
        assert_eq!(forwarded(PROXY, &[field]), client, "{field}");
    }
}

#[test]
fn s080_a_client_cannot_change_its_address_with_quotes() {
    for before in ["for=\"", "for=1.2.3.4;x=\"", "for=1.2.3.4;x=\"\\", "\"\"\""] {
        for appended in ["for=203.0.113.7", "for=\"203.0.113.7:1\";proto=https"] {
            let field = format!("{before}, {appended}");
            assert_eq!(forwarded(PROXY, &[field]), CLIENT);
        }
    }
    // A proxy that repeats the client's `Host` between quotes, and escapes what is in it.
    for host in [
        r#"x\", for=1.2.3.4;z=\""#,
        r#"x\", for=1.2.3.4;z=\"y"#,
        r#"x\\\", for=1.2.3.4, z=\""#,
        r#"x\";for=1.2.3.4;z=\""#,
    ] {
        let field = format!("for=203.0.113.7;host=\"{host}\"");
        let client = forwarded(PROXY, &[&field]);
        assert!([CLIENT, PROXY].contains(&client.as_str()), "{field}");
    }
}

#[test]
fn proxies_that_are_none_or_all_are_refused_with_a_reason() {
    let refused = |proxies: &[&str]| ClientAddresses::behind(proxies).unwrap_err().to_string();
    assert!(refused(&[]).contains("no proxies"));
    for proxy in [
        "",
        "nginx",
        "10.0.0.0/33",
        "10.0.0/8",
        "10.0.0.1:80",
        "10.0.0.0/8,::1",
    ] {
        assert!(refused(&["::1", proxy]).contains(&format!("{proxy:?} is neither")));
    }
    for proxy in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
        assert!(refused(&["::1", proxy]).contains("every client"));
    }
    let environment = "10.0.0.0/8, ::1".split(',').map(str::to_owned);
    assert!(ClientAddresses::behind(environment).is_ok());
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let any = prop_oneof![
        (b' '..=b'~').boxed(),
        (0x80..=0xff_u8).boxed(),
        proptest::sample::select(b"\"\\,;=:[]for1.".to_vec()).boxed(),
    ];
    proptest::collection::vec(any, 0..80)
}

proptest! {
    #[test]
    fn s080_no_field_of_a_client_changes_what_its_proxy_reports(
        written in bytes(),
        own_field: bool,
        appended in proptest::sample::select(vec!["203.0.113.7", "\"203.0.113.7\"", "\"203.0.113.7:80\";proto=https"]),
    ) {
        for (addresses, name, appended) in [
            (behind(), XFF, CLIENT.to_owned()),
            (rfc_7239(), FORWARDED, format!("for={appended}")),
        ] {
            let fields = if own_field {
                vec![written.clone(), appended.into_bytes()]
            } else {
                vec![[&written[..], b", ", appended.as_bytes()].concat()]
            };
            prop_assert_eq!(found(&addresses, PROXY, name, &fields), CLIENT);
        }
    }

    #[test]
    fn s080_no_field_of_an_untrusted_peer_is_used(written in bytes()) {
        prop_assert_eq!(x_forwarded_for(CLIENT, std::slice::from_ref(&written)), CLIENT);
        prop_assert_eq!(forwarded(CLIENT, &[written]), CLIENT);
    }

    #[test]
    fn s080_no_escaped_host_in_a_forwarded_element_is_taken_for_an_address(host in "[\"\\\\,;=. a1]{0,24}(, ?for=1\\.2\\.3\\.4)?[\"\\\\,;=. a1]{0,24}") {
        let escaped = host.replace('\\', "\\\\").replace('"', "\\\"");
        for field in [
            format!("for=203.0.113.7;host=\"{escaped}\""),
            format!("host=\"{escaped}\";for=203.0.113.7"),
            format!("for=203.0.113.7;host=\"{escaped}\";proto=https"),
        ] {
            let client = forwarded(PROXY, &[&field]);
            prop_assert!([CLIENT, PROXY].contains(&client.as_str()), "{}: {}", field, client);
        }
    }
}
