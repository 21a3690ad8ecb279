//! A page that listens to server-sent events.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{task::JoinHandle, time::timeout};

/// Longer than any working request takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

/// A stream of events that a server sends. The connection ends with this.
pub struct Events {
    body: Incoming,
    unread: String,
    connection: JoinHandle<()>,
}

impl Events {
    pub(crate) fn new(body: Incoming, connection: JoinHandle<()>) -> Self {
        Self {
            body,
            unread: String::new(),
            connection,
        }
    }

    /// The next event, its name and data. `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines().filter_map(|line| line.split_once(": "));
                    let found = lines.find(|(field, _)| *field == name);
                    found.map(|(_, value)| value.to_owned()).unwrap_or_default()
                };
                let event = (field("event"), field("data"));
                self.unread = rest.to_owned();
                return Some(event);
            }
            let frame = timeout(GIVE_UP_AFTER, self.body.frame()).await;
            let frame = frame.expect("the stream stays open without an event")?;
            let frame = frame.expect("a stream that does not break");
            if let Ok(data) = frame.into_data() {
                self.unread.push_str(&String::from_utf8_lossy(&data));
            }
        }
    }

    /// Expects that the stream stays open.
    #[track_caller]
    pub fn go_on(&mut self) -> impl Future<Output = ()> + '_ {
        let place = std::panic::Location::caller();
        async move {
            // As many as there may be on their way.
            for _ in 0..20 {
                let event = self.next().await;
                let (name, data) = event.unwrap_or_else(|| panic!("the stream ended ({place})"));
                assert_eq!(name, "tick", "{data} ({place})");
            }
        }
    }

    /// Expects that the stream ends, and returns the reason in its last event.
    pub async fn reason(&mut self) -> String {
        let ended = timeout(GIVE_UP_AFTER, async {
            loop {
                match self.next().await {
                    Some((name, data)) if name == "session-ended" => break data,
                    Some(_) => {}
                    None => panic!("the stream ended without a reason"),
                }
            }
        });
        let last = ended.await.expect("the stream never ends");
        assert_eq!(self.next().await, None, "after the last event");
        let last: serde_json::Value = serde_json::from_str(&last).expect("JSON");
        assert!(
            last["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        last["reason"].as_str().expect("a reason").to_owned()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
