//! Texts from outside: bounded, and free of characters that a database, a header or a log cannot hold.

use unicode_normalization::UnicodeNormalization as _;
use utoipa::openapi::schema::ObjectBuilder;

use crate::TextError;
use crate::invisible::{first_invisible, line_pattern};
use crate::text_type::{bounded, text_type};

text_type!(
    /// One line of `MIN` to `MAX` characters in Unicode's normalization form C, without control characters and without those
    /// that nobody sees.
    Line<const MIN, const MAX>,
    |text| one_line(&text, MIN, MAX),
    ObjectBuilder::new()
        .min_length(Some(MIN))
        .max_length(Some(MAX))
        .pattern(Some(line_pattern()))
);

text_type!(
    /// Text of `MIN` to `MAX` characters that may have line breaks and tabs. Kept as it was written.
    Prose<const MIN, const MAX>,
    |text| bounded(&text, MIN, MAX, |c| matches!(c, '\n' | '\r' | '\t')).map(|()| text),
    ObjectBuilder::new()
        .min_length(Some(MIN))
        .max_length(Some(MAX))
        .pattern(Some(r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"))
);

text_type!(
    /// One line of at most `MAX` characters that was accepted once, by whatever rules held then, and is told on as it is: a
    /// rule that came later does not make a user unknown.
    Recorded<const MAX>,
    |text| bounded(&text, 0, MAX, |_| false).map(|()| text),
    ObjectBuilder::new()
        .max_length(Some(MAX))
        .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$"))
);

/// Normalises a line. It may have `max` characters before that and after it.
pub(crate) fn one_line(text: &str, min: usize, max: usize) -> Result<String, TextError> {
    bounded(text, min, max, |_| false)?;
    let text: String = text.nfc().collect();
    bounded(&text, min, max, |_| false)?;
    first_invisible(&text).map_or(Ok(text), |c| Err(TextError::Invisible(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bounded_and_has_no_control_characters() {
        assert!("".parse::<Line<1, 5>>().is_err());
        assert!("éclair".parse::<Line<1, 6>>().is_ok(), "characters are counted, not bytes");
        assert!("toolong".parse::<Line<1, 6>>().is_err());
        assert_eq!("a\0b".parse::<Line<0, 9>>(), Err(TextError::ControlCharacter));
        assert_eq!("a\r\nBcc: x".parse::<Line<0, 99>>(), Err(TextError::ControlCharacter));
    }

    #[test]
    fn lines_that_look_the_same_are_the_same() {
        let line = |text: &str| text.parse::<Line<0, 9>>();
        assert_eq!(line("Rene\u{301}").unwrap().as_str(), "Ren\u{e9}");
        assert_eq!(line("eciruaM\u{202e}"), Err(TextError::Invisible('\u{202e}')));
        // One character before, two after: U+0958 is never composed.
        assert!("\u{958}".parse::<Line<0, 1>>().is_err());
    }

    #[test]
    fn prose_may_have_line_breaks_but_no_nul() {
        assert!("one\ntwo\tthree".parse::<Prose<1, 99>>().is_ok());
        assert_eq!("a\0b".parse::<Prose<0, 9>>(), Err(TextError::ControlCharacter));
    }

    #[test]
    fn what_was_recorded_by_older_rules_is_still_read_as_it_is() {
        for text in ["", "Ann Petrova", "Rene\u{301}", "eciruaM\u{202e}"] {
            assert_eq!(text.parse::<Recorded<64>>().unwrap().as_str(), text);
        }
        assert!("a\0b".parse::<Recorded<64>>().is_err());
    }
}
