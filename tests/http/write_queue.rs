//! Requests of one server that wait to write to one session.

use portcullis_tests::{
    Backend, Call, Client, Flight, Gate, Moment,
    Op::{self, Commit},
    Reply, World,
};

/// The first request is at the store with its change. The others wait behind it in this order.
pub(crate) struct WriteQueue {
    pub(crate) gate: Gate,
    pub(crate) flights: Vec<Flight>,
}

impl WriteQueue {
    pub(crate) async fn begin<B: Backend>(world: &World<B>, first: Call) -> Self {
        world.forget();
        let gate = world.store.hold(Commit, Moment::Before);
        let flights = vec![first.start()];
        world.requests_waiting(1).await;
        gate.reached().await;
        Self { gate, flights }
    }

    pub(crate) async fn join<B: Backend>(&mut self, world: &World<B>, call: Call) {
        self.flights.push(call.start());
        world.requests_waiting(1).await;
    }

    /// Adds this many requests that increment a number, in any order.
    pub(crate) async fn crowd<B: Backend>(
        &mut self,
        world: &World<B>,
        client: &Client,
        requests: usize,
    ) {
        let gate = Gate::closed();
        for at in 0..requests {
            let call = client.post("/number/n").held_at(&gate);
            self.flights.push(call.start());
            // Only so many read at once.
            if at >= BATCH {
                gate.reached().await;
            }
        }
        for _ in 0..requests.min(BATCH) {
            gate.reached().await;
        }
        gate.open();
        world.requests_waiting(requests).await;
    }

    pub(crate) async fn of<B: Backend, const N: usize>(
        world: &World<B>,
        client: &Client,
        paths: [&str; N],
    ) -> Self {
        let mut calls = paths.into_iter().map(|path| client.post(path));
        let mut queue = Self::begin(world, calls.next().unwrap()).await;
        for call in calls {
            queue.join(world, call).await;
        }
        queue
    }

    pub(crate) async fn replies(self) -> Vec<Reply> {
        self.gate.open();
        let mut replies = Vec::new();
        for flight in self.flights {
            replies.push(flight.reply().await);
        }
        replies
    }

    pub(crate) async fn statuses(self) -> Vec<u16> {
        let replies = self.replies().await;
        replies.iter().map(Reply::status).collect()
    }
}

/// The number of requests that read their session at once.
const BATCH: usize = 50;

/// The calls of the store, without those that load.
pub(crate) fn writes<B: Backend>(world: &World<B>) -> Vec<Op> {
    let mut calls = world.store.take_calls();
    calls.retain(|op| *op != Op::Load);
    calls
}
