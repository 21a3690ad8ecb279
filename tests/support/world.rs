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
use portcullis::{EndReason, SessionHandle, SessionLayer, Store};
use portcullis_core::{
    Owner, SessionEntry, SessionId, SessionMeta,
    store::{Activity, Commit, Committed, Expiry, Loaded, RecordWrite, Stored},
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
    /// The application, to be asked without a connection.
    pub app: Router,
    /// What the application is configured with, to serve it once more.
    pub layer: SessionLayer,
    /// The store as the application uses it.
    pub store: ProbeStore<B::Store>,
    /// What the application's audit was told.
    pub audit: CapturedAudit,
    /// The store's own controls.
    pub backend: B,
}

impl<B: Backend> World<B> {
    /// Everything as it is by default.
    pub async fn start() -> Self {
        Self::with(|layer| layer).await
    }

    /// The layer configured otherwise.
    pub async fn with(configure: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        Self::on(B::start().await, configure).await
    }

    /// On a store that exists.
    pub async fn on(backend: B, configure: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        let (store, audit) = (ProbeStore::new(backend.store()), CapturedAudit::default());
        let quiet = SessionLayer::new(store.clone()).without_sweeping();
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

    /// A gate for a handler that takes its name.
    pub fn gate(&self) -> (Gate, String) {
        let gate = Gate::closed();
        let name = self.gates.put(&gate);
        (gate, name)
    }

    /// A browser in which `user` is signed in. The audit and the store have forgotten how.
    pub async fn signed_in(&self, user: &str) -> Client {
        let client = self.client();
        // A sign-in does not follow a revocation in the same millisecond.
        self.backend.later().await;
        let reply = client.post(&format!("/login?user={user}")).await;
        reply.is(204).new_id();
        self.forget();
        client
    }

    /// Two browsers in which `user` is signed in, the first of which has just proved again who that is.
    pub async fn elevated_and_other(&self, user: &str) -> [Client; 2] {
        let clients = [self.signed_in(user).await, self.signed_in(user).await];
        clients[0].elevate().await;
        self.forget();
        clients
    }

    /// A browser with the session of a stranger who has `items` in the cart.
    pub async fn shopping(&self, items: &[u32]) -> Client {
        let client = self.client();
        for item in items {
            client.post(&format!("/cart?item={item}")).await.is(204);
        }
        self.forget();
        client
    }

    /// Returns when the server has noticed that a client went away.
    pub async fn departed(&self) {
        self.departures.abandoned().await;
    }

    /// Returns when so many more handlers have answered whose changes are waiting to be written, or being written.
    pub async fn waiting(&self, requests: usize) {
        for _ in 0..requests {
            self.waits.reached().await;
        }
    }

    /// Forgets what was asked of the store and told to the audit, and whose changes have waited.
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

    /// Another process of the same site: what it asks of the store is held and counted as well, and it tells the same audit.
    /// Its requests do not wait for those of the first one.
    pub async fn another_process(&self) -> Server {
        // Any setting makes it another one.
        self.serve(self.layer.clone().without_sweeping()).await
    }

    /// What another server of the same site would be configured with, with a connection of its own to the store.
    pub async fn another_layer(&self) -> SessionLayer {
        SessionLayer::new(self.backend.other_store().await).without_sweeping()
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

    /// A browser that visits another server.
    pub fn client_of(&self, server: &Server) -> Client {
        Client::new(server.address(), self.gates.clone())
    }

    /// What the store has under an identifier.
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

    /// Puts something else in place of the payload of a session.
    pub async fn overwrite(&self, id: &str, payload: impl Into<bytes::Bytes>) {
        let stored = self.live(id).await;
        let entry = SessionEntry::read(&stored, self.store.now());
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

/// What a handler says when it has answered.
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
        // The layer goes on when the handler has answered, in the same call.
        if polled.is_pending() && answered.0.swap(false, Ordering::SeqCst) {
            waits.arrive();
        }
        polled
    })
    .await
}

/// What stores know of an identifier.
pub fn key(id: &str) -> portcullis_core::SessionIdHash {
    let id = SessionId::parse(id.as_bytes());
    id.expect("an identifier").key()
}
