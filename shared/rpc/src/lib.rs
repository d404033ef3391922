//! How calls travel over gRPC: the server's frame, the channel with its endpoints, and refusals. The counterpart of `web`, on
//! which it stands: the request's context, the guard of calls and the probes are the same.
//!
//! The only crate that knows `tonic` and `h2`: what services see is all here ([`Channel`], [`Call`], [`CallError`],
//! [`Refusal`], [`serve`]), so another library would be a change of this crate alone. Knows nothing of the domain.

mod call;
mod client;
mod code;
mod error;
mod method;
mod mistake;
mod problem;
mod refusal;
mod server;
mod spans;
mod wire;

pub use call::Call;
pub use client::{Channel, ChannelSettings, Client, NoTarget, Target};
pub use code::Code;
pub use error::CallError;
pub use method::Method;
#[doc(hidden)]
pub use prost;
#[doc(hidden)]
pub use prost_types;
pub use refusal::Refusal;
pub use server::{DeadlineOf, RpcSettings, ServerSettings, Service, serve};

/// Includes what `rpc_build::compile` generated: a module for each package of the `.proto` files, and `DESCRIPTORS`.
#[macro_export]
macro_rules! generated {
    ($(#[$attribute:meta])* $visibility:vis mod $name:ident) => {
        $(#[$attribute])*
        #[allow(missing_docs, unused_qualifications, clippy::all, clippy::pedantic, reason = "generated")]
        $visibility mod $name {
            include!(concat!(env!("OUT_DIR"), "/rpc.rs"));
        }
    };
}
