//! A store, an application on it, and what watches both.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use portcullis::{
    SessionLayer,
    session::{EndReason, SessionHandle},
    store::Store,
};
use portcullis_core::{
    Owner, SessionEntry, SessionId, SessionMeta,
    store::{Activity, Commit, Committed, Expiry, Loaded, NewLimits, RecordWrite, Stored},
};

use crate::{Backend, CapturedAudit, Client, Gate, Gates, ProbeStore, Server, routes};

/// The name of the session cookie.
pub const COOKIE: &str = "__Host-Http-id";

/// A store, an application on it, and what watches both.
pub struct World<B: Backend> {
    server: Server,
    gates: Gates,
    departures: Gate,
    waits: Gate,
    /// The application, for requests without a connection.
    pub app: Router,
    /// The application's layer, to serve it once more.
    pub layer: SessionLayer,
    /// The store as the application uses it.
    pub store: ProbeStore<B::Store>,
    /// The events that the application's audit received.
    pub audit: CapturedAudit,
    /// The store's own controls.
    pub backend: B,
}

impl<B: Backend> World<B> {
    /// Starts with the defaults.
    pub async fn start() -> Self {
        Self::with(|layer| layer).await
    }

    /// Starts with a configured layer.
    pub async fn with(configure: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        Self::on(B::start().await, configure).await
    }

    /// Starts on an existing store.
    pub async fn on(backend: B, configure: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        crate::log::install();
        let (store, audit) = (ProbeStore::new(backend.store()), CapturedAudit::default());
        let quiet = SessionLayer::new(store.clone()).sweeping(false);
        let layer = configure(quiet.audit(audit.clone()));
        let gates = Gates::default();
        let (departures, waits) = (Gate::closed(), Gate::closed());
        let routes = routes(gates.clone()).layer(layer.clone());
        let watch = from_fn_with_state((departures.clone(), waits.clone()), watch);
        let watched = routes.layer(watch);
        let server = Server::of_router(watched.clone()).await;
        Self {
            app: watched,
            server,
            gates,
            departures,
            waits,
            layer,
            store,
            audit,
            backend,
        }
    }

    /// A new browser.
    pub fn client(&self) -> Client {
        Client::new(self.server.address(), self.gates.clone())
    }

    /// A gate, with the name under which a handler finds it.
    pub fn gate(&self) -> (Gate, String) {
        let gate = Gate::closed();
        let name = self.gates.put(&gate);
        (gate, name)
    }

    /// A browser in which `user` is signed in. The sign-in itself is no longer in the audit and the
    /// recorded calls.
    pub async fn signed_in(&self, user: &str) -> Client {
        let client = self.client();
        // A sign-in does not follow a revocation in the same millisecond.
        self.backend.later().await;
        let reply = client.post(&format!("/login?user={user}")).await;
        reply.is(204).new_id();
        self.forget();
        client
    }

    /// Two browsers in which `user` is signed in. The first one is elevated.
    pub async fn elevated_and_other(&self, user: &str) -> [Client; 2] {
        let clients = [self.signed_in(user).await, self.signed_in(user).await];
        clients[0].elevate().await;
        self.forget();
        clients
    }

    /// A browser with an anonymous session that has `items` in the cart.
    pub async fn shopping(&self, items: &[u32]) -> Client {
        let client = self.client();
        for item in items {
            client.post(&format!("/cart?item={item}")).await.is(204);
        }
        self.forget();
        client
    }

    /// Returns when the server has noticed that a client disconnected.
    pub async fn client_disconnected(&self) {
        self.departures.abandoned().await;
    }

    /// Returns when this many more handlers have answered while their changes are still to be
    /// written.
    pub async fn requests_waiting(&self, requests: usize) {
        for _ in 0..requests {
            self.waits.reached().await;
        }
    }

    /// Forgets the recorded calls of the store, the events of the audit and the requests_waiting
    /// requests.
    pub fn forget(&self) {
        self.waits.forget();
        self.store.take_calls();
        self.audit.take();
    }

    /// Lets time pass for sessions.
    pub fn advance(&self, by: Duration) {
        self.backend.advance(by);
    }

    /// Another server of the same site, with a connection of its own to the store.
    pub async fn another_server(&self) -> Server {
        self.serve(self.another_layer().await).await
    }

    /// Another process of the same site, with the same probed store and the same audit.
    /// Its requests do not wait for those of the first one.
    pub async fn another_process(&self) -> Server {
        // Any setting makes it another one.
        self.serve(self.layer.clone().sweeping(false)).await
    }

    /// The layer of another server of the same site, with a connection of its own to the store.
    pub async fn another_layer(&self) -> SessionLayer {
        SessionLayer::new(self.backend.other_store().await).sweeping(false)
    }

    /// A server of the same site that is configured with this.
    pub async fn serve(&self, layer: SessionLayer) -> Server {
        Server::of_router(routes(self.gates.clone()).layer(layer)).await
    }

    /// A server of the same site, with other layers around or inside of the session layer.
    pub async fn arranged(
        &self,
        arrange: impl FnOnce(Router, SessionLayer) -> Router,
    ) -> (Server, Client) {
        let router = arrange(routes(self.gates.clone()), self.layer.clone());
        let server = Server::of_router(router).await;
        let client = self.client_of(&server);
        (server, client)
    }

    /// A server for other routes, with the session layer around them.
    pub async fn serving(&self, routes: Router) -> (Server, Client) {
        let server = Server::of_router(routes.layer(self.layer.clone())).await;
        let client = Client::new(server.address(), self.gates.clone());
        (server, client)
    }

    /// A server of the same site with further routes, and a browser that visits it.
    pub async fn serving_also(&self, more: Router) -> (Server, Client) {
        self.serving(routes(self.gates.clone()).merge(more)).await
    }

    /// A browser that visits another server.
    pub fn client_of(&self, server: &Server) -> Client {
        Client::new(server.address(), self.gates.clone())
    }

    /// The store's answer for an identifier.
    pub async fn stored(&self, id: &str) -> Loaded {
        let loaded = self.store.inner().load(&key(id)).await;
        loaded.expect("a store that works")
    }

    /// The live session that the store has under an identifier.
    pub async fn live(&self, id: &str) -> Stored {
        match self.stored(id).await {
            Loaded::Live(stored) => stored,
            other => panic!("no live session but {other:?}"),
        }
    }

    /// Why the session under an identifier ended, as the store remembers.
    pub async fn ended(&self, id: &str) -> Option<EndReason> {
        match self.stored(id).await {
            Loaded::Ended { reason, .. } => Some(reason),
            Loaded::Expired(expired) => match expired.what {
                Expiry::Session(reason) => Some(reason),
                Expiry::Elevation => None,
            },
            _ => None,
        }
    }

    /// Overwrites the payload of a session.
    pub async fn overwrite(&self, id: &str, payload: impl Into<bytes::Bytes>) {
        let stored = self.live(id).await;
        let entry = SessionEntry::read(&stored, &Arc::default(), self.store.now());
        let meta = match entry {
            None => SessionMeta::new(SessionHandle::from_bytes([0; 12]), None),
            Some(entry) => {
                let owner = entry.user.zip(entry.info.authenticated_at);
                let owner = owner.map(|(user, authenticated_at)| Owner {
                    user,
                    authenticated_at,
                });
                SessionMeta::new(entry.info.handle, owner)
            }
        };
        let write = RecordWrite {
            meta,
            payload: payload.into(),
            elevated_until: None,
            flagged: false,
            new_limits: NewLimits::default(),
            notes: Vec::new(),
        };
        let done = self
            .store
            .inner()
            .commit(Commit::new(
                &key(id),
                stored.revision,
                &write,
                Activity::Passive,
            ))
            .await;
        assert!(matches!(done, Ok(Committed::Done(_))), "{done:?}");
    }
}

/// Set when the handler has answered.
#[derive(Clone, Default)]
pub(crate) struct Answered(pub(crate) Arc<AtomicBool>);

async fn watch(
    State((departures, waits)): State<(Gate, Gate)>,
    mut request: Request,
    next: Next,
) -> Response {
    let answered = Answered::default();
    request.extensions_mut().insert(answered.clone());
    let mut response = pin!(departures.watch(next.run(request)));
    poll_fn(|cx| {
        let polled = response.as_mut().poll(cx);
        // The layer continues in the same call when the handler has answered.
        if polled.is_pending() && answered.0.swap(false, Ordering::SeqCst) {
            waits.arrive();
        }
        polled
    })
    .await
}

/// The hash of an identifier, as stores know it.
pub fn key(id: &str) -> portcullis_core::SessionIdHash {
    let id = SessionId::parse(id.as_bytes());
    id.expect("an identifier").key()
}
