//! Any Tower service, any body, without axum.

use std::{convert::Infallible, io};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use portcullis::{
    GuardLayer, Session, SessionError, audit::EventKind, route::PassiveLayer, session::EndReason,
};
use portcullis_tests::{Backend, Client, Gate, Server, World, minutes, on_every_store};
use tower::{Layer, service_fn};

on_every_store![
    sessions_work_around_a_plain_service,
    responses_in_place_of_the_services_own_have_a_body_of_its_type,
    guards_and_passive_routes_work_around_a_plain_service,
    rule_13_a_service_that_fails_grants_nothing,
    rule_13_a_service_that_fails_after_signing_out_signs_out,
    a_service_that_uses_no_session_is_left_alone,
];

type Answer = Result<Response<Full<Bytes>>, io::Error>;

/// `/sign-in`, `/sign-out`, `/rotate`, `/visits`, each also with `/fail` behind it.
async fn site(request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let answer = match change(&request, &path).await {
        Ok(text) => Response::new(Full::from(text)),
        Err(error) => {
            let mut response = Response::new(Full::from(error.to_string()));
            *response.status_mut() = error.status();
            response
        }
    };
    if path.ends_with("/fail") {
        return Err(io::Error::other("the service fails, as the test wants"));
    }
    Ok(answer)
}

async fn change(request: &Request<Incoming>, path: &str) -> Result<String, SessionError> {
    if path.starts_with("/public") {
        return Ok("public".to_owned());
    }
    let session = Session::load(request.extensions()).await?;
    match path.trim_end_matches("/fail") {
        "/sign-in" => session.authenticate("alice")?,
        "/sign-out" => session.terminate()?,
        "/rotate" => session.regenerate()?,
        "/visits" => session.update("visits", |visits: &mut u32| *visits += 1)?,
        _ => {}
    }
    let visits: Option<u32> = session.get("visits")?;
    Ok(format!("{:?} {visits:?}", session.user()))
}

async fn serve<B: Backend>(world: &World<B>) -> (Server, Client) {
    let server = Server::of_service(world.layer.layer(service_fn(site))).await;
    let client = world.client_of(&server);
    (server, client)
}

async fn sessions_work_around_a_plain_service<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = serve(&world).await;
    client.get("/visits").await.is(200).new_id();
    client.get("/visits").await.is(200).keeps_the_cookie();
    let old = client.fork();
    client.post("/sign-in").await.is(200).new_id();
    assert_eq!(old.get("/").await.body(), "None None");
    client.post("/rotate").await.is(200).new_id();
    let reply = client.get("/").await;
    assert_eq!(reply.body(), "Some(UserId(alice)) Some(2)");
    assert_eq!(reply.header("cache-control"), "no-store");
    client.post("/sign-out").await.is(200).removes_the_cookie();
    assert_eq!(world.backend.live(), 0);
}

async fn responses_in_place_of_the_services_own_have_a_body_of_its_type<B: Backend>() {
    let world = World::<B>::start().await;
    let gate = Gate::closed();
    let held = gate.clone();
    let slow = service_fn(move |request: Request<Incoming>| {
        let gate = gate.clone();
        async move {
            let answer = site(request).await;
            gate.pass().await;
            answer
        }
    });
    let (_server, client) = serve(&world).await;
    let slow_server = Server::of_service(world.layer.layer(slow)).await;
    client.post("/sign-in").await.is(200);
    let flight = client.at(slow_server.address()).get("/visits").start();
    held.reached().await;
    client.post("/sign-out").await.is(200);
    held.open();
    flight
        .reply()
        .await
        .is_problem(401, "session-ended")
        .keeps_the_cookie();
}

async fn guards_and_passive_routes_work_around_a_plain_service<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = serve(&world).await;
    let signed_in = GuardLayer::authenticated().layer(service_fn(site));
    let guarded = Server::of_service(world.layer.layer(signed_in)).await;
    client
        .at(guarded.address())
        .get("/")
        .await
        .is_problem(401, "authentication-required");
    client.post("/sign-in").await.is(200);
    client.at(guarded.address()).get("/").await.is(200);

    let elevated = GuardLayer::elevated().layer(service_fn(site));
    let guarded = Server::of_service(world.layer.layer(elevated)).await;
    client
        .at(guarded.address())
        .get("/")
        .await
        .is_problem(401, "elevation-required");

    let passive = PassiveLayer::new().layer(service_fn(site));
    let polled = Server::of_service(world.layer.layer(passive)).await;
    world.advance(minutes(29));
    client.at(polled.address()).get("/").await.is(200);
    world.advance(minutes(1));
    assert_eq!(client.get("/").await.body(), "None None");

    let bare = Server::of_service(GuardLayer::authenticated().layer(service_fn(site))).await;
    client
        .at(bare.address())
        .get("/")
        .await
        .is_problem(500, "session-error");
}

async fn rule_13_a_service_that_fails_grants_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = serve(&world).await;
    client.get("/visits").await.is(200);
    world.forget();
    let before = world.live(&client.id()).await;
    for change in ["/sign-in/fail", "/visits/fail", "/rotate/fail"] {
        client.post(change).breaks().await;
    }
    assert_eq!(world.live(&client.id()).await, before);
    world
        .client()
        .at(_server.address())
        .post("/sign-in/fail")
        .breaks()
        .await;
    assert_eq!(world.backend.live(), 1);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn rule_13_a_service_that_fails_after_signing_out_signs_out<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = serve(&world).await;
    client.post("/sign-in").await.is(200);
    client.post("/sign-out/fail").breaks().await;
    world
        .audit
        .until(EventKind::Ended(EndReason::SignedOut))
        .await;
    assert_eq!(world.backend.live(), 0);
    assert_eq!(client.get("/").await.keeps_the_cookie().body(), "None None");
}

async fn a_service_that_uses_no_session_is_left_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = serve(&world).await;
    client.post("/sign-in").await.is(200);
    world.forget();
    let reply = client.get("/public").await;
    assert_eq!(
        (reply.body(), reply.header("vary")),
        ("public", String::new())
    );
    client.get("/public/fail").breaks().await;
    assert_eq!(world.store.take_calls(), []);

    let infallible = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("fine")))
    });
    let server = Server::of_service(world.layer.layer(infallible)).await;
    let reply = client.at(server.address()).get("/").await;
    assert_eq!(reply.status(), StatusCode::OK.as_u16());
}
