//! Real sockets.

use std::{convert::Infallible, error::Error, net::SocketAddr};

use axum::Router;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::Service;

/// A server on a port of this machine. It ends when this is dropped.
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves a router.
    pub async fn of_router(router: Router) -> Self {
        let (listener, address) = listen().await;
        let task = tokio::spawn(async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).await.expect("a server");
        });
        Self { address, task }
    }

    /// Serves a service, without axum. Its errors break the connection.
    pub async fn of_service<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Error = Infallible> + Send + 'static,
        B::Data: Send,
    {
        let (listener, address) = listen().await;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    // The client sees the error too.
                    let _ = connection.await;
                });
            }
        });
        Self { address, task }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}
