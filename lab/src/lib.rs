//! A running style in your hands: brings it up as real processes on the sandbox, drives it as its clients do, checks that nothing
//! was lost, and breaks it.
//!
//! [`STYLES`] are the styles that there are, [`Deployment`] is a running one, [`Api`] its client, [`Checker`] its auditor,
//! [`traces::Receiver`] what its services say of themselves. The program `study` and the tests stand on this.

pub mod checking;
pub mod driving;
pub mod faults;
pub mod running;
pub mod styles;
pub mod traces;
pub mod up;

pub use checking::{Checker, Invariant, Violation};
pub use driving::{Api, Letter, Reply, eventually};
pub use running::{CannotStart, Deployment, Options};
pub use styles::{STYLES, Service, Style};
