//! A proxy to Redis that delays every reply by a chosen time. The extra time of a request divided
//! by the delay is the number of round trips that it waits for, also with pipelined and concurrent
//! commands.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::Result;

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    delay: Arc<AtomicU64>,
}

impl Proxy {
    /// It runs on threads of its own, which end with the program.
    pub(crate) fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let delay = Arc::<AtomicU64>::default();
        let of_connection = Arc::clone(&delay);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // The other end sees that the connection is closed.
                let _ = connect(client, upstream, &of_connection);
            }
        });
        Ok(Self { address, delay })
    }

    pub(crate) fn delay(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.delay.store(micros, Ordering::Relaxed);
    }
}

fn connect(client: TcpStream, upstream: SocketAddr, delay: &Arc<AtomicU64>) -> Result<()> {
    let server = TcpStream::connect(upstream)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let (replies, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    let (mut from_server, mut to_client) = (server, client);
    let delay = Arc::clone(delay);
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(length @ 1..) = from_server.read(&mut buffer) {
            let due = Instant::now() + Duration::from_micros(delay.load(Ordering::Relaxed));
            let reply = buffer.get(..length).unwrap_or_default().to_vec();
            if replies.send((due, reply)).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, reply) in due {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to_client.write_all(&reply).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    Ok(())
}
