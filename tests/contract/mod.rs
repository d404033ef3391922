//! The contract to the letter: what is refused and how, what the documents say, how the house is built, and whether
//! its pages and their picture are right.

mod asyncapi;
mod bad_input;
mod browsers;
mod captured;
mod conditional;
mod documents;
mod endpoints;
mod exchanges;
mod house;
mod imports;
mod openapi;
mod pages;
mod picture;
mod problems;
mod slow_clients;

use std::fmt::Display;

use anyhow::ensure;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Outcome, Suite};

pub fn register(suite: &mut Suite) {
    asyncapi::register(suite);
    bad_input::register(suite);
    browsers::register(suite);
    captured::register(suite);
    conditional::register(suite);
    documents::register(suite);
    exchanges::register(suite);
    house::register(suite);
    pages::register(suite);
    picture::register(suite);
    slow_clients::register(suite);
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

/// A validator for a schema that is part of `document`.
fn validator(document: &Value, schema: &Value, draft: Draft) -> anyhow::Result<Validator> {
    ensure!(schema.is_object(), "a schema is missing");
    // References are to be found where they point: from the root of the document.
    let schema = json!({"allOf": [schema], "components": document["components"]});
    let options = jsonschema::options()
        .with_draft(draft)
        .should_validate_formats(true)
        // Younger than the draft of AsyncAPI, and used all the same.
        .with_format("uuid", |text: &str| Uuid::try_parse(text).is_ok());
    Ok(options.build(&schema)?)
}

fn conforms(schema: &Validator, value: &Value) -> Outcome {
    let errors: Vec<String> = schema.iter_errors(value).map(|error| error.to_string()).collect();
    ensure!(errors.is_empty(), "{value}: {}", errors.join("; "));
    Ok(())
}
