//! The kinds of faults: how often each comes, where it can come, and what is drawn about it.

use std::time::Duration;

use fastrand::Rng;
use sandbox::Behaviour;

use super::claims::Resource;
use super::poison::Spoiling;
use crate::styles::{Service, Style};

/// A fault with all that was drawn about it.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// `kill -9`.
    Kill { service: Service, away: Duration },
    /// `kill -9` by itself, where the code says so, after it was spared a few times.
    Crash { service: Service, point: &'static str, spared: u32 },
    /// SIGSTOP, then SIGCONT.
    Freeze { service: Service, lasts: Duration },
    /// It is asked to stop, and started again.
    Restart { service: Service },
    /// There are two of a service for a while; the second is asked to stop, or killed.
    Replica { service: Service, lasts: Duration, killed: bool },
    /// PostgreSQL crashes.
    DatabaseDown { lasts: Duration },
    /// PostgreSQL is switched over to its standby, and the address follows late.
    Switchover { late: Duration },
    /// The SMTP server does something else than take mail.
    MailMisbehaves { behaviour: Behaviour, lasts: Duration },
    /// The SMTP server is away.
    MailDown { lasts: Duration },
    /// The broker crashes.
    BrokerDown { lasts: Duration },
    /// Every message comes twice.
    Twice { lasts: Duration },
    /// A message that can never be handled; `topic` counts the style's topics.
    Poison { topic: usize, partition: i32, spoiling: Spoiling },
    /// A replica of data is rebuilt while everything goes on. Not a fault, but it must do no harm either.
    Rebuild { service: Service, command: &'static str },
}

/// A kind of fault.
struct Kind {
    weight: u32,
    holds: fn(&Style) -> bool,
    draw: fn(&mut Rng, &Style) -> Fault,
}

const KINDS: [Kind; 13] = [
    Kind {
        weight: 4,
        holds: |_| true,
        draw: |dice, style| Fault::Kill { service: service(dice, style), away: ms(dice, 0, 2000) },
    },
    Kind {
        weight: 6,
        holds: |_| true,
        draw: |dice, style| {
            let points = style.features.crash_points;
            let (service, point) = points[dice.usize(..points.len())];
            Fault::Crash { service, point, spared: dice.u32(0..6) }
        },
    },
    Kind {
        weight: 4,
        holds: |_| true,
        draw: |dice, style| Fault::Freeze { service: service(dice, style), lasts: ms(dice, 200, 3000) },
    },
    Kind { weight: 2, holds: |_| true, draw: |dice, style| Fault::Restart { service: service(dice, style) } },
    Kind {
        weight: 3,
        holds: |_| true,
        draw: |dice, style| Fault::Replica {
            service: service(dice, style),
            lasts: ms(dice, 1000, 5000),
            killed: dice.bool(),
        },
    },
    Kind { weight: 2, holds: |_| true, draw: |dice, _| Fault::DatabaseDown { lasts: ms(dice, 0, 2000) } },
    Kind { weight: 2, holds: |_| true, draw: |dice, _| Fault::Switchover { late: ms(dice, 0, 6000) } },
    Kind {
        weight: 3,
        holds: |_| true,
        draw: |dice, _| Fault::MailMisbehaves { behaviour: behaviour(dice), lasts: ms(dice, 300, 3000) },
    },
    Kind { weight: 1, holds: |_| true, draw: |dice, _| Fault::MailDown { lasts: ms(dice, 200, 3000) } },
    Kind { weight: 3, holds: has_messages, draw: |dice, _| Fault::BrokerDown { lasts: ms(dice, 200, 3000) } },
    Kind { weight: 2, holds: has_messages, draw: |dice, _| Fault::Twice { lasts: ms(dice, 1000, 5000) } },
    Kind {
        weight: 3,
        holds: has_messages,
        draw: |dice, _| Fault::Poison {
            topic: dice.usize(..100),
            partition: dice.i32(0..100),
            spoiling: Spoiling::draw(dice),
        },
    },
    Kind {
        weight: 3,
        holds: |style| !style.features.rebuilds.is_empty(),
        draw: |dice, style| {
            let rebuilds = style.features.rebuilds;
            let (service, command) = rebuilds[dice.usize(..rebuilds.len())];
            Fault::Rebuild { service, command }
        },
    },
];

impl Fault {
    /// Any that `style` can meet.
    pub(super) fn draw(dice: &mut Rng, style: &Style) -> Self {
        let possible = || KINDS.iter().filter(|kind| (kind.holds)(style));
        let all: u32 = possible().map(|kind| kind.weight).sum();
        let mut chosen = dice.u32(..all);
        for kind in possible() {
            match chosen.checked_sub(kind.weight) {
                Some(rest) => chosen = rest,
                None => return (kind.draw)(dice, style),
            }
        }
        unreachable!("what is chosen is less than the sum of all weights")
    }

    /// What it needs for itself.
    pub(super) fn resources(&self) -> Vec<Resource> {
        match *self {
            Self::Kill { service, .. }
            | Self::Crash { service, .. }
            | Self::Freeze { service, .. }
            | Self::Restart { service } => vec![Resource::Service(service)],
            Self::Replica { .. } => vec![Resource::Replica],
            Self::DatabaseDown { .. } | Self::Switchover { .. } => vec![Resource::Database],
            Self::MailMisbehaves { .. } | Self::MailDown { .. } => vec![Resource::Mail],
            // Whether a message is there must be known: the checker is told of it.
            Self::BrokerDown { .. } | Self::Poison { .. } => vec![Resource::Broker],
            Self::Twice { .. } => vec![Resource::Repeats],
            // It says so when a server is away, and is then run again by whoever wants it.
            Self::Rebuild { .. } => vec![Resource::Broker, Resource::Database],
        }
    }
}

fn has_messages(style: &Style) -> bool {
    !(style.topology)().consumers.is_empty()
}

fn service(dice: &mut Rng, style: &Style) -> Service {
    style.services[dice.usize(..style.services.len())]
}

fn behaviour(dice: &mut Rng) -> Behaviour {
    match dice.u8(..6) {
        0 => Behaviour::RejectRecipient,
        1 => Behaviour::Defer,
        2 => Behaviour::CloseBeforeData,
        3 => Behaviour::CloseAfterData { store: false },
        4 => Behaviour::NotAvailable,
        _ => Behaviour::CloseAfterData { store: true },
    }
}

/// Milliseconds, from `least` to `most`.
pub(super) fn ms(dice: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(dice.u64(least..=most))
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kill { service, away } => write!(f, "kill -9 {}, away {away:?}", service.name()),
            Self::Crash { service, point, spared } => {
                write!(f, "{} dies at {point} (after {spared} times)", service.name())
            }
            Self::Freeze { service, lasts } => write!(f, "{} is stopped for {lasts:?}", service.name()),
            Self::Restart { service } => write!(f, "{} is restarted", service.name()),
            Self::Replica { service, lasts, killed } => {
                let end = if *killed { "killed" } else { "asked to stop" };
                write!(f, "a second {} for {lasts:?}, then {end}", service.name())
            }
            Self::DatabaseDown { lasts } => write!(f, "the database crashes, away {lasts:?}"),
            Self::Switchover { late } => {
                write!(f, "the database is switched over, its address {late:?} later")
            }
            Self::MailMisbehaves { behaviour, lasts } => write!(f, "mail: {behaviour:?} for {lasts:?}"),
            Self::MailDown { lasts } => write!(f, "mail: away {lasts:?}"),
            Self::BrokerDown { lasts } => write!(f, "the broker crashes, away {lasts:?}"),
            Self::Twice { lasts } => write!(f, "every message twice, for {lasts:?}"),
            Self::Poison { spoiling, .. } => write!(f, "poison: {spoiling:?}"),
            Self::Rebuild { command, .. } => f.write_str(command),
        }
    }
}
