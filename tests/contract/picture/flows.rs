//! What the picture shows: how one paid order travels in each style, step by step from top to bottom.

use lab::Service;
use lab::Service::{Billing, Gateway, Notification, Order};

/// How one paid order travels in one style.
pub struct Flow {
    /// The style's name, as in the registry.
    pub style: &'static str,
    /// The style in a few words.
    pub about: &'static str,
    pub steps: &'static [Step],
}

/// Each step takes a row of its own, but for those that say otherwise.
#[derive(Clone, Copy)]
pub enum Step {
    /// The client asks the gateway, which is busy from here on.
    Asks,
    /// The client has its answer.
    Answers,
    /// A request over HTTP. Whoever is asked is busy from here on.
    Http(Service, Service, &'static str),
    /// A call by gRPC. Whoever is called is busy from here on.
    Rpc(Service, Service, &'static str),
    /// A message through the broker, and who reads it. Readers are busy from here on.
    Message(Service, &'static [Service], &'static str),
    /// What a service commits to its database.
    Commits(Service, &'static str),
    /// A service has nothing more to do with this order for now: its last row was the one before. Takes no row.
    Done(Service),
    /// The next step happens beside the one before, in the same row. Takes no row.
    Beside,
}

use Step::{Answers, Asks, Beside, Commits, Done, Http, Message, Rpc};

/// In the order in which the registry has the styles.
pub const FLOWS: &[Flow] = &[
    Flow {
        style: "restful",
        about: "One service calls the others, and waits.",
        steps: &[
            Asks,
            Http(Gateway, Order, "POST order"),
            Http(Order, Billing, "GET user"),
            Done(Billing),
            Commits(Order, "order: pending"),
            Http(Order, Billing, "POST withdrawal"),
            Commits(Billing, "withdrawn"),
            Done(Billing),
            Commits(Order, "order: paid"),
            Http(Order, Notification, "POST email"),
            Commits(Notification, "email stored"),
            Done(Notification),
            Done(Order),
            Answers,
            Done(Gateway),
        ],
    },
    Flow {
        style: "grpc",
        about: "The same calls, as typed methods over HTTP/2.",
        steps: &[
            Asks,
            Rpc(Gateway, Order, "CreateOrder"),
            Rpc(Order, Billing, "GetUser"),
            Done(Billing),
            Commits(Order, "order: pending"),
            Rpc(Order, Billing, "Withdraw"),
            Commits(Billing, "withdrawn"),
            Done(Billing),
            Commits(Order, "order: paid"),
            Rpc(Order, Notification, "SendEmail"),
            Commits(Notification, "email stored"),
            Done(Notification),
            Done(Order),
            Answers,
            Done(Gateway),
        ],
    },
    Flow {
        style: "event-notifications",
        about: "Events carry ids. Readers ask for the rest.",
        steps: &[
            Asks,
            Message(Gateway, &[Order], "OrderCreationRequested"),
            Http(Order, Billing, "GET user"),
            Done(Billing),
            Commits(Order, "order: pending"),
            Message(Order, &[Billing], "WithdrawalRequested"),
            Done(Order),
            Http(Billing, Order, "GET order"),
            Done(Order),
            Commits(Billing, "withdrawn"),
            Message(Billing, &[Order], "WithdrawalProcessed"),
            Done(Billing),
            Commits(Order, "order: paid"),
            Message(Order, &[Gateway, Notification], "OrderProcessed"),
            Done(Order),
            Http(Gateway, Order, "GET order"),
            Beside,
            Http(Notification, Order, "GET order"),
            Done(Order),
            Answers,
            Done(Gateway),
            Beside,
            Http(Notification, Billing, "GET user"),
            Done(Billing),
            Commits(Notification, "email stored"),
            Done(Notification),
        ],
    },
    Flow {
        style: "event-collab",
        about: "Events carry all data. Nobody asks.",
        steps: &[
            Asks,
            Message(Gateway, &[Order], "OrderCreationRequested"),
            Commits(Order, "order: pending"),
            Message(Order, &[Billing], "WithdrawalRequested"),
            Done(Order),
            Commits(Billing, "withdrawn"),
            Message(Billing, &[Order], "WithdrawalProcessed"),
            Done(Billing),
            Commits(Order, "order: paid"),
            Message(Order, &[Gateway, Notification], "OrderProcessed"),
            Done(Order),
            Answers,
            Done(Gateway),
            Beside,
            Commits(Notification, "email stored"),
            Done(Notification),
        ],
    },
    Flow {
        style: "command-reply",
        about: "One service commands, the others reply.",
        steps: &[
            Asks,
            Http(Gateway, Order, "POST order"),
            Commits(Order, "order: pending"),
            Message(Order, &[Billing], "WithdrawMoney"),
            Commits(Billing, "withdrawn"),
            Message(Billing, &[Order], "MoneyWithdrawn"),
            Done(Billing),
            Commits(Order, "order: paid"),
            Message(Order, &[Notification], "SendEmail"),
            Done(Order),
            Answers,
            Done(Gateway),
            Beside,
            Commits(Notification, "email stored"),
            Done(Notification),
        ],
    },
];

impl Flow {
    /// The requests over HTTP between services, and those among them that only read.
    pub fn requests(&self) -> (usize, usize) {
        let labels = || {
            self.steps.iter().filter_map(|step| if let Http(_, _, label) = step { Some(label) } else { None })
        };
        (labels().count(), labels().filter(|label| label.starts_with("GET ")).count())
    }

    /// The calls by gRPC.
    pub fn rpcs(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Rpc(..))).count()
    }

    /// The messages, however many read one.
    pub fn messages(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Message(..))).count()
    }

    /// What the order costs, in words.
    pub fn cost(&self) -> String {
        let counted = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let (requests, gets) = self.requests();
        let mut parts = Vec::new();
        if self.messages() > 0 {
            parts.push(counted(self.messages(), "message"));
        }
        if gets > 0 {
            parts.push(format!("{} ({})", counted(requests, "HTTP request"), counted(gets, "GET")));
        } else if requests > 0 {
            parts.push(counted(requests, "HTTP request"));
        }
        if self.rpcs() > 0 {
            parts.push(counted(self.rpcs(), "RPC"));
        }
        parts.join(", ")
    }
}
