//! The sandbox, used as its users use it.

// In helpers too, where clippy does not see that they are tests.
#![allow(clippy::unwrap_used)]

mod containers;
mod kafka;
mod kafka_groups;
mod postgres;
mod smtp;

use std::time::{Duration, Instant};

/// Polls until `condition` holds.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether somebody listens at the address of `url`.
fn listens(url: &url::Url) -> bool {
    let address = (url.host_str().unwrap(), url.port().unwrap());
    std::net::TcpStream::connect(address).is_ok()
}
