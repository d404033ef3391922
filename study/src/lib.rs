//! The main program: brings styles up as real processes on the sandbox, drives the scenario through their gateways, checks
//! that nothing was lost, and measures.
//!
//! The tests use its parts: [`Deployment`] is a running style, [`Api`] its client, [`Checker`] its auditor.

pub mod check;
pub mod cli;
pub mod client;
mod compare;
pub mod deployment;
mod process;
pub mod scenario;
pub mod serve;
pub mod styles;
mod up;

pub use check::{Checker, Violation};
pub use client::{Api, Reply};
pub use deployment::{Deployment, Options, Service};
pub use styles::{STYLES, Style};
