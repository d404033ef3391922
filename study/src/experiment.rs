//! The experiments of a comparison, one file each: from a running style to figures of the report.

pub(crate) mod availability;
pub(crate) mod bookings;
pub(crate) mod cost;
pub(crate) mod discovery;
mod distribution;
mod fates;
pub(crate) mod freshness;
pub(crate) mod idle;
pub(crate) mod latency;
pub(crate) mod memory;
mod orders;
mod outage;
pub(crate) mod scenario;
pub(crate) mod stage;
mod statements;
pub(crate) mod throughput;
