//! The contract between services that call each other by gRPC: the messages and services of the `.proto` files, as `rpc-build` has
//! made them, and what they are in the contract over HTTP. Who calls whom, and when, is the style's.
//!
//! A request is parsed where it arrives (`asked`), and a response where it is asked for: in each direction by the types of the crates
//! `api` and `domain`, which accept only what is valid.

pub mod billing;
mod fields;
pub mod notification;
pub mod order;
mod refusals;

pub use fields::request_id;
pub use refusals::{invalid, refused, told_outside, unusable};

rpc::generated! {
    mod proto
}
pub use proto::DESCRIPTORS;
