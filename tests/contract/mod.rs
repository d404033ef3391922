//! The contract to the letter: what is refused and how, what the documents say, and how the house is built.

mod bad_input;
mod documents;
mod endpoints;
mod house;
mod problems;

use std::fmt::Display;

use anyhow::ensure;

use crate::harness::{Outcome, Suite};

pub fn register(suite: &mut Suite) {
    bad_input::register(suite);
    documents::register(suite);
    house::register(suite);
}

/// What a table found wrong: one row must not hide the next.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn note(&mut self, row: impl Display, outcome: Outcome) {
        if let Err(error) = outcome {
            self.0.push(format!("{row}: {error:#}"));
        }
    }

    fn conclude(self) -> Outcome {
        let Self(rows) = self;
        ensure!(rows.is_empty(), "{} rows do not hold:\n{}", rows.len(), rows.join("\n"));
        Ok(())
    }
}
