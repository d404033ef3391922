//! AsyncAPI 3.0: what each service of a style says and hears, as a document made from the types that go over the wire.
//!
//! Each [`Party`] names what it says and hears. Who is at the other end follows from all of them together, so no document
//! can claim what another denies.

mod document;
mod envelope;
mod party;
mod tidy;

use serde_json::Value;

pub use crate::message::MessageType;
use crate::topics::Topology;
pub use party::Party;

/// The document of each of `parties`, the services of `style`.
pub fn documents(style: &str, topology: &Topology, parties: &[Party]) -> Vec<(&'static str, Value)> {
    let style = document::Style { name: style, topology, parties };
    parties.iter().map(|party| (party.name, style.document(party))).collect()
}
