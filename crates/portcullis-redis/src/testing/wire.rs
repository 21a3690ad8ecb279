//! A proxy in front of a server that a test can make fail.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::server::TestServer;

/// Longer than any successful operation takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// A proxy that can hold what is sent to a server, and lose answers. Its threads last as long as
/// the program.
///
/// All methods block the thread for a moment.
#[derive(Debug)]
pub struct TestWire {
    port: u16,
    orders: Orders,
}

type Orders = Arc<Mutex<Vec<(Vec<u8>, Order)>>>;

#[derive(Debug)]
enum Order {
    Hold(mpsc::Sender<()>, mpsc::Receiver<()>),
    Cut,
}

/// Data that was sent and has not arrived yet. It arrives when this is dropped.
#[derive(Debug)]
pub struct Held {
    reached: mpsc::Receiver<()>,
    _open: mpsc::Sender<()>,
}

impl Held {
    /// Waits until the data was sent.
    ///
    /// # Panics
    ///
    /// When it is not sent within ten seconds.
    pub fn reached(&self) {
        let reached = self.reached.recv_timeout(GIVE_UP_AFTER);
        reached.expect("something to be sent");
    }
}

impl TestWire {
    /// Starts a proxy in front of `server`.
    ///
    /// # Panics
    ///
    /// When this machine has no free port.
    pub fn to(server: &TestServer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (orders, upstream) = (Orders::default(), server.port());
        let of_connections = Arc::clone(&orders);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) {
                    carry(client, server, Arc::clone(&of_connections));
                }
            }
        });
        Self { port, orders }
    }

    /// The address for [`RedisStore::connect`](crate::RedisStore::connect).
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Holds the next data that contains `text`, and what follows it on the same connection.
    pub fn hold(&self, text: &str) -> Held {
        let (arrive, reached) = mpsc::channel();
        let (open, opened) = mpsc::channel();
        self.order(text, Order::Hold(arrive, opened));
        Held {
            reached,
            _open: open,
        }
    }

    /// Lets the server execute the next command that contains `text`, and closes the connection
    /// before the answer.
    pub fn lose_answer(&self, text: &str) {
        self.order(text, Order::Cut);
    }

    fn order(&self, text: &str, order: Order) {
        let mut orders = self.orders.lock().expect("orders");
        orders.push((text.as_bytes().into(), order));
    }
}

fn carry(client: TcpStream, server: TcpStream, orders: Orders) {
    let cut = Arc::<AtomicBool>::default();
    let (mut from, mut to) = ends(&client, &server);
    let is_cut = Arc::clone(&cut);
    thread::spawn(move || {
        pass(&mut from, &mut to, |sent| {
            while let Some(order) = ordered(&orders, sent) {
                match order {
                    Order::Hold(arrived, open) => {
                        let _ = arrived.send(());
                        // The test drops the other end.
                        let _ = open.recv();
                    }
                    Order::Cut => is_cut.store(true, Ordering::SeqCst),
                }
            }
            true
        });
    });
    let (mut from, mut to) = ends(&server, &client);
    thread::spawn(move || pass(&mut from, &mut to, |_| !cut.load(Ordering::SeqCst)));
}

fn ends(from: &TcpStream, to: &TcpStream) -> (TcpStream, TcpStream) {
    let _ = to.set_nodelay(true);
    let [from, to] = [from, to].map(|end| end.try_clone().expect("a socket"));
    (from, to)
}

/// Forwards data while `may` allows it, and then closes both ends.
fn pass(from: &mut TcpStream, to: &mut TcpStream, may: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 65536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let sent = &buffer[..length];
        if !may(sent) || to.write_all(sent).is_err() {
            break;
        }
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}

fn ordered(orders: &Orders, sent: &[u8]) -> Option<Order> {
    let mut orders = orders.lock().expect("orders");
    let found = orders.iter().position(|(text, _)| {
        let mut parts = sent.windows(text.len());
        parts.any(|part| part == text)
    });
    found.map(|at| orders.remove(at).1)
}
