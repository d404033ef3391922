//! What a service does when it is asked, by whatever protocol: from what was asked to what is answered, without either's wire.
//! HTTP's routes stand on these in every style, and gRPC's methods in the style that has them.
//!
//! A request with an effect has its id here already: how that is found in what came over the wire is the protocol's affair.

pub mod billing;
pub mod notification;
pub mod order;
