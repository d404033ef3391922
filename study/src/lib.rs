//! The main program: brings styles up as real processes on the sandbox, drives the scenario through their gateways, checks
//! that nothing was lost, and measures.
//!
//! The tests use its parts: [`Deployment`] is a running style, [`Api`] its client, [`Checker`] its auditor,
//! [`traces::Receiver`] what its services said of themselves.

mod bench;
pub mod check;
pub mod claims;
pub mod cli;
pub mod client;
mod compare;
pub mod deployment;
mod experiment;
mod grade;
mod limit;
mod load;
pub mod mistakes;
mod process;
mod processor;
pub mod report;
pub mod scenario;
mod scrape;
pub mod serve;
mod setup;
pub mod styles;
pub mod table;
mod torture;
pub mod traces;
mod up;

pub use check::{Checker, Invariant, Letter, Violation};
pub use client::{Api, Reply};
pub use deployment::{Deployment, Options, Service};
pub use styles::{STYLES, Style};
