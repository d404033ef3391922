//! What serde and Rust's library say of input that does not fit, in words of the API: whoever calls it sees no Rust.

use std::borrow::Cow;

use serde_json::error::Category;

/// Why a text is not the JSON that is asked for.
pub(crate) fn of_json(error: &serde_json::Error) -> Cow<'static, str> {
    if error.classify() != Category::Data {
        return format!("is not valid JSON (line {}, column {})", error.line(), error.column()).into();
    }
    let (message, place) =
        (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    of_message(message.strip_suffix(&place).unwrap_or(&message)).into_owned().into()
}

/// A message of serde's, translated; one of a type of ours is such words already, and stays.
pub(crate) fn of_message(message: &str) -> Cow<'_, str> {
    const FORMS: [&str; 5] =
        ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant ", "unknown field "];
    if message.starts_with("missing field ") {
        return "is missing".into();
    }
    if message.starts_with("duplicate field ") {
        return "is there more than once".into();
    }
    if FORMS.iter().any(|form| message.starts_with(form)) {
        // From the end: what was sent stands before it, and may say anything.
        let expected = message.rsplit_once(", expected ").and_then(|(_, expected)| of_expected(expected));
        return expected.map_or("is not valid".into(), |expected| format!("must be {expected}").into());
    }
    match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number".into()
        }
        "number too large to fit in target type" => "is too large".into(),
        "number too small to fit in target type" => "is too small".into(),
        _ => message.into(),
    }
}

fn of_expected(expected: &str) -> Option<&str> {
    Some(match expected {
        "a string" | "a boolean" => expected,
        "a whole number" => "a whole number of at most 64 bits",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        _ if expected.starts_with("struct ") => "an object",
        // Names that the contract has.
        _ if expected.starts_with("one of `") || expected.starts_with('`') => expected,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
        Blue,
    }

    #[derive(Debug, Deserialize)]
    struct Thing {
        #[allow(dead_code, reason = "it is only read")]
        size: u16,
    }

    fn said<T: for<'de> Deserialize<'de> + std::fmt::Debug>(text: &str) -> String {
        of_json(&serde_json::from_str::<T>(text).unwrap_err()).into_owned()
    }

    #[test]
    fn serde_is_translated_and_our_own_words_stay() {
        assert_eq!(said::<i64>("\"7, expected a string\""), "must be a whole number");
        assert_eq!(said::<u8>("256"), "must be a whole number");
        assert_eq!(said::<String>("null"), "must be a string");
        assert_eq!(said::<Vec<u8>>("{}"), "must be a list");
        assert_eq!(said::<Vec<Thing>>("[7]"), "must be an object");
        assert_eq!(said::<Thing>("{}"), "is missing");
        assert_eq!(said::<Thing>("{\"size\":1,\"size\":1}"), "is there more than once");
        assert_eq!(said::<Colour>("\"black\""), "must be one of `red`, `green`, `blue`");
        assert_eq!(said::<BTreeMap<String, i64>>("7"), "is not valid");
        assert_eq!(said::<Thing>("{\"size\":1}}"), "is not valid JSON (line 1, column 11)");
        assert_eq!(of_message("must have 1 to 64 characters, not 0"), "must have 1 to 64 characters, not 0");
    }
}
