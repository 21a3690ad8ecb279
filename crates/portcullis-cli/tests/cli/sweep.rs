//! Removing expired sessions.

use std::time::Duration;

use portcullis_core::EndReason;
use serde_json::json;

use crate::support::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn expired_sessions_are_removed_and_counted() {
    let fixture = Fixture::new().await;
    fixture.sign_in("alice").await;
    fixture.sign_in("bob").await;
    fixture.server.age_sessions(Duration::from_secs(31 * 60));
    let swept = fixture.run(&["sweep"]);
    swept.assert(0);
    assert_eq!(swept.out, "2 expired entries removed\n");
    assert_eq!(
        fixture.run(&["sweep", "--json"]).json(),
        json!({"realm": "id", "cleared": 0})
    );
    let log = fixture.run(&["audit", "--reason", EndReason::IdleTimeout.as_str()]);
    assert_eq!(log.out.lines().count(), 2, "{log:?}");
}
