//! Ports that are free now and stay free while their service is down.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    process,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

use crate::SandboxError;

/// Below the ephemeral range of every common system (Linux 32768, others 49152), so that no outgoing connection can
/// take the port of a killed service before it is back.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Every process counts up from a place of its own, so that two sandboxes rarely look at the same port.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let [low, high, ..] = RandomState::new().hash_one(process::id()).to_ne_bytes();
    AtomicU16::new(u16::from_ne_bytes([low, high]))
});

/// A TCP port nobody listens on at 127.0.0.1, outside the ephemeral range and never given twice in a row.
pub fn free_port() -> Result<u16, SandboxError> {
    (0..COUNT)
        .map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or(SandboxError::NoFreePort { first: FIRST, last: FIRST + COUNT - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_or_just_given_is_passed_over() {
        let taken = free_port().unwrap();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).unwrap();
        NEXT.store(taken - FIRST, Ordering::Relaxed);
        let (one, two) = (free_port().unwrap(), free_port().unwrap());
        assert!(one != taken && two != taken && one != two);
        assert!((20_000..30_000).contains(&one) && (20_000..30_000).contains(&two));
    }
}
