//! What the browser is asked to forget with a sign-out, and what it is told of deadlines along with ordinary responses.

use portcullis::{Timeouts, client::DeviceBinding, cookie::ClearSiteData};
use portcullis_tests::{Backend, Moment, Op, World, hours, minutes, on_every_store, seconds};

on_every_store![
    s060_a_sign_out_asks_the_browser_to_forget_what_scripts_stored,
    s060_so_does_a_sign_out_that_came_second,
    s060_so_does_an_end_that_nobody_asked_for,
    s060_who_brings_no_cookie_is_not_asked_to_forget_anything,
    s060_nothing_else_does,
    s060_a_sign_out_that_could_not_be_written_does_not,
    s060_what_is_asked_for_can_be_chosen,
    deadlines_are_told_in_seconds_left_where_that_is_wanted,
];

const FIELD: &str = "clear-site-data";

async fn s060_a_sign_out_asks_the_browser_to_forget_what_scripts_stored<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let reply = client.post("/logout").await;
    reply.removes_the_cookie();
    assert_eq!(reply.header(FIELD), r#""storage""#);
}

async fn s060_so_does_a_sign_out_that_came_second<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    client.post("/logout").await.is(204);
    let reply = tab.post("/logout").await;
    reply.keeps_the_cookie();
    assert_eq!(reply.header(FIELD), r#""storage""#);
}

async fn s060_so_does_an_end_that_nobody_asked_for<B: Backend>() {
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

/// Another site can send somebody here, but not their cookie.
async fn s060_who_brings_no_cookie_is_not_asked_to_forget_anything<B: Backend>() {
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

async fn s060_what_is_asked_for_can_be_chosen<B: Backend>() {
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

async fn deadlines_are_told_in_seconds_left_where_that_is_wanted<B: Backend>() {
    const FIELD: &str = "session-timeout";
    // Long steps of granularity and odd moments, so that whole seconds do not depend on the machine's haste.
    let timeouts = Timeouts::new(minutes(60), hours(12)).unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(timeouts).session_timeout_header()).await;
    let client = world.signed_in("alice").await;
    let told = |reply: portcullis_tests::Reply| {
        let field = reply.header(FIELD);
        let members = field.split(", ").map(|member| {
            let (name, seconds) = member.split_once('=').expect("a member");
            (name.to_owned(), seconds.parse::<u64>().expect("a number"))
        });
        members.collect::<Vec<_>>()
    };
    world.advance(minutes(10) - seconds(1));
    let passive = told(client.get("/passive/session").await);
    assert_eq!(passive[0].0, "idle");
    assert!((2998..=3001).contains(&passive[0].1), "{passive:?}");
    assert!((42_598..=42_601).contains(&passive[1].1), "{passive:?}");
    let active = told(client.post("/elevate").await);
    assert!((3598..=3600).contains(&active[0].1), "{active:?}");
    assert_eq!(active[2].0, "elevated");
    assert!((898..=900).contains(&active[2].1), "{active:?}");
    assert_eq!(client.get("/public").await.header(FIELD), "");
    assert_eq!(world.client().get("/maybe").await.header(FIELD), "");
    assert_eq!(client.post("/logout").await.header(FIELD), "");
}
