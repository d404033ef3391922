//! The registry of styles. A style has one entry, a file below with a [`Style`]; with that it is brought up, tested, checked,
//! broken, compared and shown like the others.

mod command_reply;
mod event_collab;
mod event_notifications;
mod features;
mod grpc;
mod restful;
mod service;
mod style;
mod walk;

pub use self::features::{Counts, Features, Points};
pub use self::service::Service;
pub use self::style::{Running, Style};
pub use self::walk::{Code, Walk};

/// All styles, in the order in which they are shown.
pub const STYLES: &[Style] =
    &[restful::STYLE, grpc::STYLE, event_notifications::STYLE, event_collab::STYLE, command_reply::STYLE];

impl Style {
    /// The style called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        STYLES.iter().find(|style| style.name == name)
    }
}
