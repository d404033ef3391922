//! Usernames (RFC 8265, profile `UsernameCaseMapped`): two that look the same, or differ in case alone, are the same.

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::Error;
use precis_profiles::precis_core::profile::{PrecisFastInvocation as _, stabilize};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat};

use crate::TextError;
use crate::text_type::{bounded, text_type};

/// Most characters of a username, as it is typed and as it is kept.
const CHARS_MAX: usize = 64;

text_type!(
    /// A username as it is kept, compared and shown: wide characters made narrow, in lower case, in Unicode's normalization
    /// form C. It has letters and digits, in one direction of writing, and ASCII punctuation; no space, no symbol, and nothing
    /// that nobody sees.
    Username,
    |text| mapped(&text),
    ObjectBuilder::new()
        // None that JSON Schema knows: what a username may have is no matter of a pattern.
        .format(Some(SchemaFormat::Custom("username".to_owned())))
        .min_length(Some(1))
        .max_length(Some(CHARS_MAX))
);

fn mapped(text: &str) -> Result<String, TextError> {
    // The rules below look at every character anew for some of them, so the bound comes first.
    bounded(text, 1, CHARS_MAX, |_| false)?;
    // A name travels, and is parsed again wherever it arrives: one that would become another then, or none, is refused here
    // (RFC 8264, section 7).
    let mapped = stabilize(text, |name| UsernameCaseMapped::enforce(name)).map_err(refusal)?;
    bounded(&mapped, 1, CHARS_MAX, |_| false)?;
    Ok(mapped.into_owned())
}

fn refusal(error: Error) -> TextError {
    match error {
        Error::BadCodepoint(bad) => {
            char::from_u32(bad.cp).map_or(TextError::NotAUsername, TextError::NotInUsername)
        }
        // Directions of writing that do not go together, or a character that stands where it means nothing.
        Error::Invalid | Error::Unexpected(_) => TextError::NotAUsername,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &str) -> Result<String, TextError> {
        name.parse::<Username>().map(String::from)
    }

    #[test]
    fn names_that_look_the_same_or_differ_in_case_are_the_same() {
        for (typed, is_kept) in [
            ("ann", "ann"),
            ("Ann", "ann"),
            ("Rene\u{301}", "ren\u{e9}"),
            ("Ren\u{e9}", "ren\u{e9}"),
            ("Å", "\u{e5}"),
            ("ＡＮＮ", "ann"),
            ("Анна", "анна"),
            ("Straße", "straße"),
            ("ann.petrova-7@example.org!", "ann.petrova-7@example.org!"),
            ("שרה", "שרה"),
        ] {
            assert_eq!(kept(typed).as_deref(), Ok(is_kept), "{typed:?}");
        }
    }

    #[test]
    fn a_character_that_no_username_has_is_named() {
        for c in [
            ' ',
            '\u{202e}',
            '\u{200b}',
            '\u{200e}',
            '\u{ad}',
            '\u{feff}',
            '\u{a0}',
            '∞',
            'Ⅳ',
            '😀',
            '\u{e0041}',
        ] {
            assert_eq!(kept(&format!("an{c}n")), Err(TextError::NotInUsername(c)), "{c:?}");
        }
    }

    #[test]
    fn characters_that_do_not_go_together_are_refused() {
        // Hebrew that goes on in Latin; a dot that only Catalan has, between two l; a joiner with nothing to join.
        for name in ["שרהann", "\u{b7}ann", "\u{200d}"] {
            assert!(kept(name).is_err(), "{name:?}");
        }
        assert_eq!(kept("Goril\u{b7}la").as_deref(), Ok("goril\u{b7}la"));
    }

    #[test]
    fn a_name_stays_what_it_is_when_it_is_parsed_again() {
        // In lower case a letter that the rules do not know yet.
        assert!(kept("Ꭰ").is_err());
        // Above it there are symbols, Chinese, and what has no name.
        for c in '\0'..='\u{1ffff}' {
            if let Ok(once) = kept(&c.to_string()) {
                assert_eq!(kept(&once), Ok(once.clone()), "{c:?}");
            }
        }
    }

    #[test]
    fn a_name_has_1_to_64_characters_before_it_is_mapped_and_after() {
        assert!(kept("").is_err());
        assert!(kept(&"n".repeat(64)).is_ok());
        assert!(kept(&"n".repeat(65)).is_err());
        // Two characters each in lower case.
        assert!(kept(&"İ".repeat(33)).is_err());
        assert_eq!(kept("a\0b"), Err(TextError::ControlCharacter));
    }
}
