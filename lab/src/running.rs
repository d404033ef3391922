//! How a style comes up and stays up: its processes, their settings and addresses, and what can be seen of them from outside.

mod balancer;
mod cannot_start;
mod deployment;
mod instances;
mod parent;
mod process;
pub mod processor;
mod ready;
pub mod scrape;
mod serve;

pub use self::balancer::Balancer;
pub use self::cannot_start::CannotStart;
pub use self::deployment::{
    Addresses, Brokers, Deployment, FAULT_SETTINGS, Ground, Options, SANDBOX_SETTINGS,
};
pub use self::instances::Instances;
pub use self::parent::close_inherited_files;
pub use self::process::ServiceProcess;
pub use self::ready::wait_ready;
pub use self::serve::{Served, host, serve};
