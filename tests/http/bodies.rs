//! A response that is cut off because its session ended never looks complete. Read from the socket.

use std::time::Duration;

use axum::Router;
use http_body_util::{BodyExt, Empty};
use hyper::{client::conn::http2 as client, server::conn::http2 as server};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use portcullis_tests::{Backend, COOKIE, Client, World, late, on_every_store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower_http::compression::CompressionLayer;

on_every_store![
    s065_a_body_in_chunks_ends_without_the_last_one,
    s065_a_body_of_known_length_ends_before_it,
    s065_a_compressed_body_ends_without_the_last_chunk,
    s065_a_body_over_http2_is_reset,
    a_body_whose_session_is_live_is_complete,
];

const LAST_CHUNK: &str = "\r\n0\r\n\r\n";

async fn s065_a_body_in_chunks_ends_without_the_last_one<B: Backend>() {
    let world = World::<B>::with(late).await;
    let client = world.signed_in("alice").await;
    let received = body_of_ended_session(&world, &client, "chunked").await;
    assert!(received.contains("transfer-encoding: chunked"));
    assert_eq!(received.matches("row ").count(), 41, "{received}");
    assert!(!received.ends_with(LAST_CHUNK), "{received}");
}

async fn s065_a_body_of_known_length_ends_before_it<B: Backend>() {
    let world = World::<B>::with(late).await;
    let client = world.signed_in("alice").await;
    let received = body_of_ended_session(&world, &client, "known").await;
    assert!(received.contains("content-length: 9000"), "{received}");
    assert_eq!(received.matches("row ").count(), 41, "{received}");
}

async fn s065_a_compressed_body_ends_without_the_last_chunk<B: Backend>() {
    let world = World::<B>::with(late).await;
    let arrange = |routes: Router, sessions| routes.layer(sessions).layer(CompressionLayer::new());
    let (_server, client) = world.arranged(arrange).await;
    client.post("/login?user=alice").await.is(204);
    let received = body_of_ended_session(&world, &client, "chunked").await;
    assert!(received.contains("content-encoding: gzip"), "{received}");
    assert!(!received.ends_with(LAST_CHUNK), "{received}");
}

async fn s065_a_body_over_http2_is_reset<B: Backend>() {
    let world = World::<B>::with(late).await;
    let client = world.signed_in("alice").await;
    let (gate, name) = world.gate();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = TowerToHyperService::new(world.app.clone());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let connection = server::Builder::new(TokioExecutor::new());
        let _ = connection.serve_connection(TokioIo::new(stream), app).await;
    });
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let connected = client::handshake(TokioExecutor::new(), stream).await;
    let (mut sender, connection) = connected.unwrap();
    let talking = tokio::spawn(connection);
    let request = http::Request::get(format!("http://shop.example/live/rows/{name}/chunked"))
        .header("cookie", format!("{COOKIE}={}", client.id()))
        .body(Empty::<bytes::Bytes>::new());
    let mut response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    gate.reached().await;
    client.post("/logout").await.is(204);

    let mut rows = 0;
    let error = loop {
        match response.body_mut().frame().await.expect("no regular end") {
            Ok(frame) => rows += frame.data_ref().expect("rows").len() / 9,
            Err(error) => break error,
        }
    };
    assert_eq!(rows, 41);
    let reason = std::error::Error::source(&error).map(ToString::to_string);
    let reason = reason.unwrap_or_default();
    assert!(reason.contains("internal error"), "{error:?}");
    // The connection stays open for others.
    assert!(sender.ready().await.is_ok());
    talking.abort();
    serving.abort();
}

async fn a_body_whose_session_is_live_is_complete<B: Backend>() {
    let world = World::<B>::with(late).await;
    let client = world.signed_in("alice").await;
    for length in ["chunked", "known"] {
        let (gate, name) = world.gate();
        let mut stream = ask(&client, &format!("/live/rows/{name}/{length}")).await;
        gate.reached().await;
        client.post("/regenerate").await.is(204);
        gate.open();
        let received = all(&mut stream).await;
        assert_eq!(received.matches("row ").count(), 1000);
        assert_eq!(received.ends_with(LAST_CHUNK), length == "chunked");
    }
}

/// The bytes of a response whose session ends after its first rows.
async fn body_of_ended_session<B: Backend>(
    world: &World<B>,
    client: &Client,
    length: &str,
) -> String {
    let (gate, name) = world.gate();
    let mut stream = ask(client, &format!("/live/rows/{name}/{length}")).await;
    gate.reached().await;
    client.post("/logout").await.is(204);
    all(&mut stream).await
}

async fn ask(client: &Client, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(client.address()).await.unwrap();
    let id = client.id();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: shop.example\r\nCookie: {COOKIE}={id}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes or resets the connection.
async fn all(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let reading = async {
        // A reset ends it as well.
        while let Ok(1..) = stream.read_buf(&mut received).await {}
    };
    let read = timeout(Duration::from_secs(20), reading).await;
    read.expect("the connection closes");
    String::from_utf8_lossy(&received).into_owned()
}
