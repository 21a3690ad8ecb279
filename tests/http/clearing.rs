//! `Clear-Site-Data` with a sign-out, and the header that sends deadlines with ordinary responses.

use portcullis::{Timeouts, client::DeviceBinding, cookie::ClearSiteData};
use portcullis_tests::{Backend, Moment, Op, World, hours, minutes, on_every_store, seconds};

on_every_store![
    s060_a_sign_out_makes_the_browser_clear_what_scripts_stored,
    s060_so_does_a_second_sign_out,
    s060_so_does_an_end_without_a_sign_out,
    s060_a_request_without_a_cookie_clears_nothing,
    s060_nothing_else_does,
    s060_a_sign_out_that_could_not_be_written_does_not,
    s060_what_is_cleared_can_be_configured,
    deadlines_are_sent_in_seconds_left_where_configured,
];

const FIELD: &str = "clear-site-data";

async fn s060_a_sign_out_makes_the_browser_clear_what_scripts_stored<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let reply = client.post("/logout").await;
    reply.removes_the_cookie();
    assert_eq!(reply.header(FIELD), r#""storage""#);
}

async fn s060_so_does_a_second_sign_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    client.post("/logout").await.is(204);
    let reply = tab.post("/logout").await;
    reply.keeps_the_cookie();
    assert_eq!(reply.header(FIELD), r#""storage""#);
}

async fn s060_so_does_an_end_without_a_sign_out<B: Backend>() {
    let world = World::<B>::with(|layer| layer.device_binding(DeviceBinding::End)).await;
    let client = world
        .client()
        .calling_itself("Firefox/140.0 (Windows NT 10.0)");
    client.post("/login?user=alice").await.is(204);
    let thief = client.calling_itself("curl/8");
    let reply = thief.get("/maybe").await;
    reply.removes_the_cookie();
    assert_eq!(reply.header(FIELD), r#""storage""#);
}

/// Another site can cause a request, but without the cookie.
async fn s060_a_request_without_a_cookie_clears_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    assert_eq!(
        world.client().post("/logout").await.is(204).header(FIELD),
        ""
    );
}

async fn s060_nothing_else_does<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for change in ["/cart?item=1", "/elevate", "/regenerate", "/login?user=bob"] {
        let reply = client.post(change).await;
        assert_eq!(reply.header(FIELD), "", "{change}");
    }
    world.advance(hours(1));
    assert_eq!(client.get("/me").await.is(401).header(FIELD), "");
}

async fn s060_a_sign_out_that_could_not_be_written_does_not<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for _ in 0..2 {
        world.store.fail(Op::End, Moment::Before);
    }
    assert_eq!(client.post("/logout").await.is(503).header(FIELD), "");
}

async fn s060_what_is_cleared_can_be_configured<B: Backend>() {
    for (choice, field) in [
        (None, ""),
        (Some(ClearSiteData::storage_only()), r#""storage""#),
        (
            Some(ClearSiteData::cache_and_storage()),
            r#""cache", "storage""#,
        ),
        (Some(ClearSiteData::cache_only()), r#""cache""#),
        (
            Some(ClearSiteData::everything_with_cookies_of_sibling_hosts()),
            r#""cache", "storage", "cookies""#,
        ),
    ] {
        let world = World::<B>::with(|layer| layer.clear_site_data(choice)).await;
        let client = world.signed_in("alice").await;
        let (tab, other) = (client.fork(), client.fork());
        assert_eq!(client.post("/logout").await.header(FIELD), field);
        let late = tab.post("/logout").await.header(FIELD);
        assert!(!late.contains("cookies"), "{late}");
        let own = other.post("/logout");
        let own = own.with_response_field(r#"clear-site-data: "executionContexts""#);
        assert_eq!(own.await.header(FIELD), r#""executionContexts""#);
    }
}

async fn deadlines_are_sent_in_seconds_left_where_configured<B: Backend>() {
    const FIELD: &str = "session-timeout";
    // Long granularity and odd moments, so that whole seconds do not depend on the machine's speed.
    let timeouts = Timeouts::new(minutes(60), hours(12)).unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(timeouts).session_timeout_header()).await;
    let client = world.signed_in("alice").await;
    let fields = |reply: portcullis_tests::Reply| {
        let field = reply.header(FIELD);
        let members = field.split(", ").map(|member| {
            let (name, seconds) = member.split_once('=').expect("a member");
            (name.to_owned(), seconds.parse::<u64>().expect("a number"))
        });
        members.collect::<Vec<_>>()
    };
    world.advance(minutes(10) - seconds(1));
    let passive = fields(client.get("/passive/session").await);
    assert_eq!(passive[0].0, "idle");
    assert!((2998..=3001).contains(&passive[0].1), "{passive:?}");
    assert!((42_598..=42_601).contains(&passive[1].1), "{passive:?}");
    let active = fields(client.post("/elevate").await);
    assert!((3598..=3600).contains(&active[0].1), "{active:?}");
    assert_eq!(active[2].0, "elevated");
    assert!((898..=900).contains(&active[2].1), "{active:?}");
    assert_eq!(client.get("/public").await.header(FIELD), "");
    assert_eq!(world.client().get("/maybe").await.header(FIELD), "");
    assert_eq!(client.post("/logout").await.header(FIELD), "");
}
