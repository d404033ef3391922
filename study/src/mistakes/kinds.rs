//! The mistakes: what is wrong, how it is switched on, where the service dies meanwhile, and the lines that differ.

use lab::styles::Service;

use super::lines::{Cut, cut};

/// What is found is told in words, up to this many times.
pub(super) const EXAMPLES: usize = 4;

/// With the mistake or without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Sound,
    Wrong,
}

/// A classic mistake.
pub(super) struct Mistake {
    pub(super) name: &'static str,
    pub(super) style: &'static str,
    pub(super) about: &'static str,
    /// What services are told to do wrong ...
    switches: &'static [&'static str],
    /// ... beside billing, which always is.
    pub(super) made_by_others: &'static [Service],
    /// What they are told in the sound version too: what happens seldom.
    faults: &'static [&'static str],
    /// Crash points: where billing dies in the sound version, and where in the wrong one.
    death_when_sound: &'static str,
    death_when_wrong: &'static str,
    pub(super) sound_lines: &'static [Cut],
    pub(super) wrong_lines: &'static [Cut],
}

impl Mistake {
    /// `FAILPOINTS` of a service in a version: its mistake, and a death that spares it so many times. `None`: nothing.
    pub(super) fn points(&self, version: Version, spared: Option<u64>) -> Option<String> {
        let (switches, death) = match version {
            Version::Sound => (&[][..], self.death_when_sound),
            Version::Wrong => (self.switches, self.death_when_wrong),
        };
        let switches = self.faults.iter().chain(switches);
        let mut points: Vec<String> = switches.map(|switch| format!("{switch}=return")).collect();
        points.extend(spared.map(|times| format!("{death}={times}*off->panic")));
        Some(points.join(";")).filter(|points| !points.is_empty())
    }
}

/// All of them.
pub(super) const MISTAKES: [Mistake; 6] = [
    Mistake {
        name: "dual write",
        style: "event-collab",
        about: "The effect is committed first, and what is to be said about it is written afterwards, in a transaction of its own. \
                It looks the same until the process dies between the two: then money has moved, and nobody ever hears of it. \
                Billing dies as soon as an effect is committed.",
        switches: &["mistake::dual_write"],
        made_by_others: &[],
        faults: &[],
        death_when_sound: "outbox::committed",
        death_when_wrong: "mistake::between_the_writes",
        sound_lines: &[cut!("shared/messaging/src/batch.rs", "outbox::append(&mut tx, said)", "tx.commit()")],
        wrong_lines: &[cut!(
            "shared/messaging/src/batch.rs",
            "\"mistake::dual_write\"",
            "outbox::append(&mut tx, said)"
        )],
    },
    Mistake {
        name: "no deduplication",
        style: "event-collab",
        about: "Every message is taken for a new one: there is no inbox, and nobody looks whether the request was handled before. \
                It looks the same until a message comes again, and Kafka promises at least one delivery, not one. \
                Billing dies after the commit of an effect, before it has said how far it has read.",
        switches: &["mistake::no_inbox", "mistake::no_request_key"],
        made_by_others: &[],
        faults: &[],
        death_when_sound: "messaging::effect_committed",
        death_when_wrong: "messaging::effect_committed",
        sound_lines: &[
            cut!("shared/messaging/src/inbox.rs", "let new = sqlx::query_scalar(", ".await?;"),
            cut!("shared/store/src/billing/requests.rs", "let same = known.0 ==", "Reused"),
        ],
        wrong_lines: &[
            cut!("shared/messaging/src/inbox.rs", "\"mistake::no_inbox\"", "}"),
            cut!("shared/store/src/billing/requests.rs", "\"mistake::no_request_key\"", "}"),
        ],
    },
    Mistake {
        name: "racy debit",
        style: "restful",
        about: "The balance is read, compared with the price, and what is left is written. It looks the same until two withdrawals, \
                or a withdrawal and a deposit, read the same balance: then one of them is overwritten. \
                Billing dies now and then, after a withdrawal is committed and before it is answered.",
        switches: &["mistake::racy_debit"],
        made_by_others: &[],
        faults: &[],
        death_when_sound: "billing::withdrawal_committed",
        death_when_wrong: "billing::withdrawal_committed",
        sound_lines: &[cut!(
            "shared/store/src/billing/accounts.rs",
            "let decided: Result<Option<Json",
            ".await;"
        )],
        wrong_lines: &[cut!(
            "shared/store/src/billing/accounts.rs",
            "\"select balance, pg_sleep",
            ".execute(conn)"
        )],
    },
    Mistake {
        name: "append before lock",
        style: "event-collab",
        about: "What is to be said about a row goes to the outbox before the row is locked. It looks the same until two change the \
                row at a time: both say the same version, and whoever keeps a replica hears only one of them. \
                Billing dies as soon as an effect is committed.",
        switches: &["mistake::append_before_lock"],
        made_by_others: &[],
        faults: &[],
        death_when_sound: "outbox::committed",
        death_when_wrong: "outbox::committed",
        sound_lines: &[cut!(
            "shared/api/src/operations/billing.rs",
            "let user = billing::update_profile(",
            "tell(tx, &user)"
        )],
        wrong_lines: &[cut!("shared/api/src/mistake.rs", "find_user(", "Ok(update_profile(")],
    },
    Mistake {
        name: "no compensation",
        style: "command-reply",
        about: "A saga ends, and what it has begun stays: the commands to undo it are answered, and nothing is undone. It looks the \
                same until a booking is refused after its seat was reserved, or cancelled after it was paid for: then the seat is \
                held for nobody, and the money is gone. Billing dies as soon as an effect is committed.",
        switches: &["mistake::no_compensation"],
        made_by_others: &[Service::Ticket],
        faults: &[],
        death_when_sound: "outbox::committed",
        death_when_wrong: "outbox::committed",
        sound_lines: &[cut!("shared/store/src/ticket.rs", "update tickets set state = 'released'", ");")],
        wrong_lines: &[cut!("shared/store/src/ticket.rs", "\"mistake::no_compensation\"", "}")],
    },
    Mistake {
        name: "compensation that does not commute",
        style: "command-reply",
        about: "Undoing undoes what it finds. If it comes first, it finds nothing, and what it was to undo is done afterwards, \
                for good. It looks the same as long as the two come in order, and one partition keeps them in order. Here what comes \
                together is handled the other way round, as it may be where partitions were added between the two. Billing dies as \
                soon as an effect is committed, so that much comes together.",
        switches: &["mistake::no_tombstone"],
        made_by_others: &[Service::Ticket],
        faults: &["fault::other_way_round"],
        death_when_sound: "outbox::committed",
        death_when_wrong: "outbox::committed",
        sound_lines: &[cut!(
            "shared/store/src/billing/refunds.rs",
            "let tombstone = sqlx::query(",
            "rows_affected() == 1"
        )],
        wrong_lines: &[cut!("shared/store/src/billing/refunds.rs", "let is_there =", "return Ok(None)")],
    },
];
