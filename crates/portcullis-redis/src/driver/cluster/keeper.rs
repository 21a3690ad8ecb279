//! Keeps the map of a cluster up to date.
//!
//! Nodes are asked, and what most of them say counts: one that was cut off from the others, or has just started, may
//! see what was. What follows from a map that is wrong all the same is a redirection, never a wrong answer.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use rand::seq::SliceRandom;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Inner, look, map::Map, view::View, view_of};
use crate::endpoint::Endpoint;

/// With nothing wrong. A node that got slots by itself is found by a redirection before.
const EVERY: Duration = Duration::from_secs(10);
/// While a node does not answer: a replica may take its place at any moment.
const WHILE_AWAY: Duration = Duration::from_millis(200);
const ANSWER: Duration = Duration::from_millis(250);
/// Before each look, so that a burst of redirections or failures causes one.
const PAUSE: Duration = Duration::from_millis(50);
/// After which a node is forgotten that has no slots.
const STAY: Duration = Duration::from_secs(60);

/// Runs until it is aborted.
pub(super) async fn keep(inner: Arc<Inner>) {
    loop {
        let away = inner
            .map()
            .nodes()
            .iter()
            .any(|node| node.shared().is_down());
        tokio::select! {
            () = sleep(if away { WHILE_AWAY } else { EVERY }) => {}
            () = inner.outdated.notified() => {}
        }
        sleep(PAUSE).await;
        if let Some(view) = inner.ask_around().await {
            inner.apply(view);
        }
        inner.see_guests_off();
    }
}

impl Inner {
    async fn ask_around(&self) -> Option<View> {
        let map = self.map();
        let mut nodes: Vec<_> = map
            .nodes()
            .iter()
            .filter(|node| !node.shared().is_down())
            .cloned()
            .collect();
        // Where there is no majority, it is not always the same one that is believed.
        nodes.shuffle(&mut rand::rng());
        let mut asked = JoinSet::new();
        for node in nodes {
            asked.spawn(async move {
                let shared = node.shared();
                let connection = shared.connection()?;
                let endpoint = shared.settings.address.endpoint()?;
                let view = timeout(ANSWER, view_of(&connection, endpoint)).await;
                view.ok()?.ok()?
            });
        }
        let mut views = Vec::new();
        while let Some(view) = asked.join_next().await {
            views.extend(view.ok().flatten().filter(|view| !view.ranges().is_empty()));
        }
        match View::most_common(&views) {
            Some(view) => Some(view.clone()),
            // Nobody is left who answers. Those in the URL may lead to others.
            None => look(&self.settings, self.seeds()).await.ok(),
        }
    }

    fn seeds(&self) -> &[Endpoint] {
        match self.settings.address.layout() {
            crate::address::Layout::Cluster(seeds) => seeds,
            _ => &[],
        }
    }

    /// Nodes that are in both maps go on as they are.
    fn apply(&self, view: View) {
        let before = self.map();
        let complete = |map: &Map| map.nodes().len() == map.view().primaries().len();
        if *before.view() == view && complete(&before) {
            return;
        }
        let nodes = view
            .primaries()
            .iter()
            .map(|primary| self.node_at(primary))
            .collect();
        let map = Arc::new(Map::new(view, nodes));
        let primaries: Vec<_> = map
            .view()
            .primaries()
            .iter()
            .map(Endpoint::to_string)
            .collect();
        if before.view().primaries() != map.view().primaries() {
            tracing::info!(address = %self.settings.address, ?primaries, "the Redis Cluster has changed");
        }
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|(guest, _)| !map.nodes().iter().any(|node| Arc::ptr_eq(node, guest)));
        drop(guests);
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = map;
    }

    fn see_guests_off(&self) {
        let now = Instant::now();
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|(_, asked)| now.duration_since(*asked) < STAY);
    }
}
