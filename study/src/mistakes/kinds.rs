//! The mistakes: what is wrong, how it is switched on, where the service dies meanwhile, and the lines that differ.

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
    /// What billing is told to do wrong.
    switches: &'static [&'static str],
    /// Crash points: where billing dies in the sound version, and where in the wrong one.
    death_when_sound: &'static str,
    death_when_wrong: &'static str,
    pub(super) sound_lines: &'static [Cut],
    pub(super) wrong_lines: &'static [Cut],
}

impl Mistake {
    /// `FAILPOINTS` of billing in a version: its mistake, and a death that spares it so many times. `None`: nothing.
    pub(super) fn points(&self, version: Version, spared: Option<u64>) -> Option<String> {
        let (switches, death) = match version {
            Version::Sound => (&[][..], self.death_when_sound),
            Version::Wrong => (self.switches, self.death_when_wrong),
        };
        let mut points: Vec<String> = switches.iter().map(|switch| format!("{switch}=return")).collect();
        points.extend(spared.map(|times| format!("{death}={times}*off->panic")));
        Some(points.join(";")).filter(|points| !points.is_empty())
    }
}

/// All of them.
pub(super) const MISTAKES: [Mistake; 4] = [
    Mistake {
        name: "dual write",
        style: "event-collab",
        about: "The effect is committed first, and what is to be said about it is written afterwards, in a transaction of its own. \
                It looks the same until the process dies between the two: then money has moved, and nobody ever hears of it. \
                Billing dies as soon as an effect is committed.",
        switches: &["mistake::dual_write"],
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
        death_when_sound: "outbox::committed",
        death_when_wrong: "outbox::committed",
        sound_lines: &[cut!(
            "shared/api/src/operations/billing.rs",
            "let user = billing::update_profile(",
            "tell(tx, &user)"
        )],
        wrong_lines: &[cut!("shared/api/src/mistake.rs", "find_user(", "Ok(update_profile(")],
    },
];
