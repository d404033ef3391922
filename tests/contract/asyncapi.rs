//! The AsyncAPI documents: checked in as the code has them, and of one mind about who says what to whom.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use lab::{STYLES, Style};
use serde_json::Value;

use super::Findings;
use super::documents::is_checked_in;
use crate::harness::{Outcome, Suite};

/// The members of a document in the order in which people read it: who it is, where, what; the details last.
const MEMBERS: [&str; 7] =
    ["asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components"];
/// What the description of a message says that is for nobody in the style.
const FOR_NOBODY: &str = "No service of this style hears it.";

pub fn register(suite: &mut Suite) {
    for style in with_messages() {
        let mut check = |name: &str, check: fn(&Style) -> Outcome| {
            suite.trial(format!("{}::asyncapi::{name}", style.name), async move || check(style));
        };
        check("the_documents_that_are_checked_in_are_what_the_code_says", checked_in);
        check("everything_that_is_said_is_heard_and_the_other_way_round", said_is_heard);
        check("every_operation_is_described", every_operation_is_described);
    }
}

/// The styles that have messages.
pub fn with_messages() -> impl Iterator<Item = &'static Style> {
    STYLES.iter().filter(|style| !style.message_types.is_empty())
}

fn checked_in(style: &Style) -> Outcome {
    let mut findings = Findings::default();
    for (service, document) in (style.async_documents)() {
        let file = format!("{service}.asyncapi.yaml");
        findings.note(&file, to_yaml(&document).and_then(|yaml| is_checked_in(style, &file, &yaml)));
    }
    findings.conclude()
}

fn to_yaml(document: &Value) -> anyhow::Result<String> {
    let members = document.as_object().context("a document is an object")?;
    let mut ordered = yaml_serde::Mapping::new();
    for name in MEMBERS {
        ordered.insert(name.into(), yaml_serde::to_value(members.get(name).with_context(|| name)?)?);
    }
    ensure!(ordered.len() == members.len(), "members that have no place: {:?}", members.keys());
    Ok(yaml_serde::to_string(&ordered)?)
}

fn said_is_heard(style: &Style) -> Outcome {
    let (mut said, mut heard, mut for_nobody) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (_, document) in (style.async_documents)() {
        for (name, operation) in document["operations"].as_object().into_iter().flatten() {
            let (to, from) = match operation["action"].as_str() {
                Some("send") => (&mut said, &mut heard),
                Some("receive") => (&mut heard, &mut said),
                other => anyhow::bail!("{name} is to {other:?}"),
            };
            to.extend(messages(operation));
            from.extend(messages(&operation["reply"]));
            if operation["description"].as_str().is_some_and(|text| text.contains(FOR_NOBODY)) {
                for_nobody.extend(messages(operation));
            }
        }
    }
    let types: BTreeSet<String> = style.message_types.iter().map(|&kind| kind.to_owned()).collect();
    ensure!(said == types, "said are {said:?} of {types:?}");
    let unheard: BTreeSet<String> = said.difference(&heard).cloned().collect();
    ensure!(unheard == for_nobody, "heard by nobody are {unheard:?}, meant to be {for_nobody:?}");
    ensure!(heard.is_subset(&said), "nobody says all of {heard:?}");
    Ok(())
}

/// The message types that an operation or a reply refers to.
fn messages(operation: &Value) -> Vec<String> {
    let references = operation["messages"].as_array().into_iter().flatten();
    references
        .filter_map(|reference| Some(reference["$ref"].as_str()?.rsplit('/').next()?.to_owned()))
        .collect()
}

fn every_operation_is_described(style: &Style) -> Outcome {
    let mut findings = Findings::default();
    for (service, document) in (style.async_documents)() {
        let operations = document["operations"].as_object().context("no operations")?;
        findings.note(service, (!operations.is_empty()).then_some(()).context("says and hears nothing"));
        for (name, operation) in operations {
            for member in ["summary", "description"] {
                let says = operation[member].as_str().is_some_and(|text| !text.is_empty());
                findings.note(
                    format!("{name} of {service}"),
                    says.then_some(()).with_context(|| format!("has no {member}")),
                );
            }
        }
    }
    findings.conclude()
}
