//! The AsyncAPI documents: checked in as the code has them, and of one mind about who says what to whom.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use jsonschema::Draft;
use lab::{STYLES, Style};
use serde_json::{Map, Value, json};

use super::documents::is_checked_in;
use super::{Findings, conforms, validator};
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
        check("anybody_may_say_what_is_received", anybody_may_say_what_is_received);
        check("schemas_have_names_of_their_own", schemas_have_names_of_their_own);
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
            to.extend(messages(&document, operation));
            from.extend(messages(&document, &operation["reply"]));
            if operation["description"].as_str().is_some_and(|text| text.contains(FOR_NOBODY)) {
                for_nobody.extend(messages(&document, operation));
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
fn messages(document: &Value, operation: &Value) -> Vec<String> {
    let references = operation["messages"].as_array().into_iter().flatten();
    references
        .filter_map(|reference| {
            let name = reference["$ref"].as_str()?.rsplit('/').next()?;
            // The same type comes in two modes.
            Some(document["components"]["messages"][name]["name"].as_str()?.to_owned())
        })
        .collect()
}

/// What is accepted is more than what is said: an event of whomever, in both modes, of which little is demanded.
fn anybody_may_say_what_is_received(style: &Style) -> Outcome {
    let mut received = 0;
    for (service, document) in (style.async_documents)() {
        for (name, operation) in document["operations"].as_object().into_iter().flatten() {
            let Some(kind) = name.strip_prefix("receive") else { continue };
            received += 1;
            let found = accepts(&document, operation, kind);
            found.with_context(|| format!("{name} of {service}"))?;
        }
    }
    ensure!(received > 0, "nothing is received");
    Ok(())
}

fn accepts(document: &Value, operation: &Value, kind: &str) -> Outcome {
    ensure!(messages(document, operation) == [kind, kind], "not in two modes: {operation}");
    let message = |name: String| &document["components"]["messages"][name];
    let (parts, whole) = (message(kind.to_owned()), message(format!("{kind}Structured")));
    let schema = |schema: &Value| validator(document, schema, Draft::Draft7);
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut headers = json!({
        "ce_specversion": "1.0", "ce_id": "7", "ce_source": "urn:shop", "ce_type": kind, "ce_correlationid": id
    });
    // A command that is answered says where.
    if parts["headers"]["properties"].get("ce_replyto").is_some() {
        ensure!(!schema(&parts["headers"])?.is_valid(&headers), "the return address may be missing");
        headers["ce_replyto"] = "order-updates".into();
    }
    let event = json!({
        "specversion": "1.0", "id": "7", "source": "urn:shop", "type": kind, "correlationid": id, "data": {}
    });
    conforms(&schema(&parts["headers"])?, &headers)?;
    for name in headers.as_object().into_iter().flat_map(Map::keys) {
        let mut less = headers.clone();
        less[name] = "".into();
        ensure!(!schema(&parts["headers"])?.is_valid(&less), "{name} may be empty");
    }
    conforms(
        &schema(&whole["headers"])?,
        &json!({"content-type": "application/cloudevents+json; charset=UTF-8"}),
    )?;
    // The data is that of the other mode; here it is of no interest.
    let payload = &document["components"]["schemas"][format!("{kind}Event")];
    ensure!(payload["properties"]["data"] == parts["payload"], "says something else: {payload}");
    let envelope = schema(&payload["allOf"][0])?;
    conforms(&envelope, &event)?;
    for name in ["specversion", "id", "source", "type", "correlationid"] {
        let mut less = event.clone();
        less.as_object_mut().map(|it| it.remove(name));
        ensure!(!envelope.is_valid(&less), "{name} may be missing");
    }
    Ok(())
}

/// A name means the same in all documents of a style, and none is there because another was taken.
fn schemas_have_names_of_their_own(style: &Style) -> Outcome {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let mut findings = Findings::default();
    for (service, document) in (style.async_documents)() {
        let text = document.to_string();
        findings.note(
            service,
            (!text.contains("\"const\"")).then_some(()).context("has a const: an enum is understood"),
        );
        findings.note(
            service,
            document["info"]["license"]["url"].as_str().map(drop).context("no URL of its licences"),
        );
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            let numbered = name.ends_with(|it: char| it.is_ascii_digit());
            findings.note(name, (!numbered).then_some(()).context("is a second one of its name"));
            // Nobody makes a type of headers.
            if !["CloudEvent", "AcceptedHeaders"].contains(&name.as_str()) {
                let properties = schema["properties"].as_object().into_iter().flatten();
                let nameless = properties.filter(|(_, it)| it.get("enum").or(it.get("allOf")).is_some());
                let nameless: Vec<&String> = nameless.map(|(property, _)| property).collect();
                let all_named = nameless.is_empty().then_some(());
                findings
                    .note(name, all_named.with_context(|| format!("{nameless:?} are types without a name")));
            }
            let before = known.entry(name.clone()).or_insert_with(|| schema.clone());
            findings.note(name, (before == schema).then_some(()).context("is not the same everywhere"));
        }
    }
    let asked_by_message: &[_] = &["RegistrationRefused", "DepositRefused", "OrderRefused"];
    let refusals =
        if style.features.requests_are_messages { asked_by_message } else { &asked_by_message[2..] };
    for refused in refusals {
        findings.note(refused, known.contains_key(*refused).then_some(()).context("is not there"));
    }
    findings.conclude()
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
