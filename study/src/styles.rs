//! The registry of styles. A new style adds a line to `styles!` and is then brought up, tested, checked and compared like the
//! others; what is honestly different about it stands in its [`Features`].

use clap::Subcommand;
use utoipa::openapi::OpenApi;

/// In what a style differs, where the contract lets it: the tests ask here instead of knowing styles by name.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// An order is refused with 503, and nothing written, while billing is away. Otherwise it is accepted and decided later.
    pub refuses_orders_while_billing_is_away: bool,
    /// Where `kill -9` must do no harm: the service that dies, and the crash point in its code.
    pub crash_points: &'static [(crate::Service, &'static str)],
}

/// A style: how to name it, how it differs, what its services say of themselves.
#[derive(Clone, Copy)]
pub struct Style {
    /// As on the command line.
    pub name: &'static str,
    /// How it differs.
    pub features: Features,
    /// The OpenAPI document of each service.
    pub api_documents: fn() -> [(&'static str, OpenApi); 4],
}

impl Style {
    /// The style called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        STYLES.iter().find(|style| style.name == name)
    }
}

impl std::fmt::Debug for Style {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! styles {
    ($($(#[$doc:meta])* $variant:ident = $name:literal in $package:ident, $features:expr;)*) => {
        /// All styles, in the order in which they are shown.
        pub const STYLES: &[Style] =
            &[$(Style { name: $name, features: $features, api_documents: $package::api_documents }),*];

        /// `serve <style> <service>`
        #[derive(Clone, Debug, Subcommand)]
        pub enum Served {$(
            $(#[$doc])*
            #[command(name = $name)]
            $variant {
                /// Which service.
                #[command(subcommand)]
                service: $package::Service,
            },
        )*}

        impl Served {
            /// Runs the service until it is told to stop.
            pub(crate) async fn run(self) -> anyhow::Result<()> {
                match self { $(Self::$variant { service } => $package::run(service).await),* }
            }
        }
    };
}

styles! {
    /// Synchronous orchestration over HTTP.
    Restful = "restful" in restful, RESTFUL;
}

/// `restful`
const RESTFUL: Features = {
    use crate::Service::{Billing, Notification, Order};
    Features {
        refuses_orders_while_billing_is_away: true,
        crash_points: &[
            (Order, "order::pending"),
            (Billing, "billing::withdrawal_received"),
            (Billing, "billing::withdrawal_committed"),
            (Order, "order::withdrawal_answered"),
            (Order, "order::terminal"),
            (Order, "order::email_handed_over"),
            (Notification, "notification::email_stored"),
            (Notification, "mail::sending"),
            (Notification, "mail::connected"),
            (Notification, "mail::data"),
            (Notification, "mail::final_dot"),
            (Notification, "mail::accepted"),
            (Notification, "mail::sent"),
        ],
    }
};
