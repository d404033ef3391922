//! Schemas as those who make code of them understand them best. They say what they said before.

use std::mem;

use schemars::Schema;
use serde_json::{Map, Value, json};

/// A closed set of texts as `enum`; the derived `oneOf` of `const` becomes anything at all in some languages. What each value
/// means moves to the description.
pub(super) fn closed_set_as_enum(schema: &mut Schema) {
    let Some(Value::Array(cases)) = schema.get("oneOf") else { return };
    // Each that is described stands alone, the others together.
    let texts = |case: &Value| -> Option<Vec<String>> {
        let alone = case.get("const").map(|value| vec![value.clone()]);
        let values = alone.or_else(|| case["enum"].as_array().cloned())?;
        values.iter().map(|value| value.as_str().map(ToOwned::to_owned)).collect()
    };
    let Some(values) = cases.iter().map(texts).collect::<Option<Vec<Vec<String>>>>() else { return };
    let meanings = cases.iter().filter_map(|case| {
        Some(format!("- `{}`: {}", case["const"].as_str()?, case["description"].as_str()?))
    });
    let about = schema.get("description").and_then(Value::as_str).map(|about| format!("{about}\n"));
    let lines: Vec<String> = about.into_iter().chain(meanings).collect();
    schema.remove("oneOf");
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), values.concat().into());
    schema.insert("description".to_owned(), lines.join("\n").into());
}

/// What may be left out is left out, and never null.
pub(super) fn absent_is_not_null(schema: &mut Schema) {
    let required: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, property) in properties {
        if required.contains(&Value::from(name.as_str())) {
            continue;
        }
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|it| it != "null");
            if let [only] = &types[..] {
                property["type"] = only.clone();
            }
        }
        let Some(property) = property.as_object_mut() else { continue };
        if let Some(Value::Array(mut cases)) = property.remove("anyOf") {
            cases.retain(|it| *it != json!({"type": "null"}));
            let one = if cases.len() == 1 { "allOf" } else { "anyOf" };
            property.insert(one.to_owned(), cases.into());
        }
    }
}

/// A reference stands where it is meant, beside its description: wrapped, it would be a type without a name.
pub(super) fn reference_unwrapped(schema: &mut Schema) {
    let Some(Value::Array(cases)) = schema.get("allOf") else { return };
    if let [Value::Object(only)] = &cases[..]
        && let (Some(reference), 1) = (only.get("$ref").cloned(), only.len())
        && schema.get("properties").is_none()
    {
        schema.remove("allOf");
        schema.insert("$ref".to_owned(), reference);
    }
}

/// A closed set within a schema gets a schema of its own, named after where it was: without a name generators would number it.
pub(super) fn sets_named(schemas: &mut Map<String, Value>) {
    let mut named = Map::new();
    for (owner, schema) in schemas.iter_mut() {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (property, set) in properties.into_iter().flatten().filter(|(_, it)| it.get("enum").is_some()) {
            let (first, rest) = property.split_at(1);
            let name = format!("{owner}{}{rest}", first.to_uppercase());
            let reference = json!({"$ref": format!("#/components/schemas/{name}")});
            named.insert(name, mem::replace(set, reference));
        }
    }
    schemas.extend(named);
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use schemars::transform::{RecursiveTransform, Transform as _};
    use serde::Serialize;

    use super::*;

    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code, reason = "of interest is its schema")]
    /// How it went.
    enum Outcome {
        /// As it should.
        AllWell,
        Lost,
    }

    #[derive(Serialize, JsonSchema)]
    struct Told {
        /// Always there.
        comment: Option<String>,
        /// How it went with this.
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<i64>,
    }

    fn tidy(mut schema: Schema) -> Value {
        closed_set_as_enum(&mut schema);
        absent_is_not_null(&mut schema);
        RecursiveTransform(reference_unwrapped).transform(&mut schema);
        schema.to_value()
    }

    #[test]
    fn a_closed_set_is_an_enum_and_keeps_what_its_values_mean() {
        let tidy = tidy(schemars::schema_for!(Outcome));
        assert_eq!(tidy["enum"], json!(["lost", "all-well"]));
        assert_eq!(tidy["type"], "string");
        assert_eq!(tidy["description"], "How it went.\n\n- `all-well`: As it should.");
        assert!(tidy.get("oneOf").is_none(), "{tidy}");
    }

    #[test]
    fn what_is_left_out_when_there_is_nothing_is_never_null() {
        let generator = schemars::generate::SchemaSettings::draft07().for_serialize().into_generator();
        let tidy = tidy(generator.into_root_schema_for::<Told>());
        assert_eq!(tidy["properties"]["comment"]["type"], json!(["string", "null"]));
        assert_eq!(tidy["properties"]["number"]["type"], "integer");
        assert_eq!(
            tidy["properties"]["outcome"],
            json!({"$ref": "#/definitions/Outcome", "description": "How it went with this."})
        );
    }

    #[test]
    fn a_set_within_a_schema_is_named_after_where_it_was() {
        let set = json!({"type": "string", "enum": ["RUB"]});
        let money = json!({"properties": {"amount": {"type": "string"}, "currency": set}});
        let mut schemas = Map::from_iter([("Money".to_owned(), money)]);
        sets_named(&mut schemas);
        assert_eq!(schemas["MoneyCurrency"], set);
        assert_eq!(
            schemas["Money"]["properties"],
            json!({"amount": {"type": "string"}, "currency": {"$ref": "#/components/schemas/MoneyCurrency"}})
        );
    }
}
