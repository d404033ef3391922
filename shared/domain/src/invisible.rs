//! Characters that nobody sees, or that change how others are shown. Two lines could look the same because of them, or a line
//! be read backwards.

use std::sync::LazyLock;

use icu_properties::CodePointSetData;
use icu_properties::props::{DefaultIgnorableCodePoint, Emoji, ExtendedPictographic};
use precis_profiles::precis_core::{FreeformClass, StringClass as _};

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
/// Asks for the coloured picture of the character before it.
const EMOJI_STYLE: char = '\u{fe0f}';
/// Makes a key of the digit before it: `1`, [`EMOJI_STYLE`], this.
const KEYCAP: char = '\u{20e3}';

/// The first character of a line that nobody sees. Where they mean something, the joiners of Persian and of Indian scripts
/// (RFC 5892, appendix A) and what makes an emoji of several characters may stay.
pub(crate) fn first_invisible(line: &str) -> Option<char> {
    line.split(' ').find_map(|word| {
        let chars: Vec<char> = word.chars().collect();
        let at = (0..chars.len()).find(|&at| is_invisible(chars[at]) && !is_part_of_emoji(&chars, at))?;
        let joins = matches!(chars[at], NON_JOINER | JOINER) && FreeformClass::default().allows(word).is_ok();
        (!joins).then_some(chars[at])
    })
}

fn is_invisible(c: char) -> bool {
    let is_separator_or_annotation = matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}');
    is_separator_or_annotation || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

fn is_part_of_emoji(chars: &[char], at: usize) -> bool {
    let is_emoji = |c: char| !c.is_ascii() && CodePointSetData::new::<Emoji>().contains(c);
    let is_picture = |c: &char| CodePointSetData::new::<ExtendedPictographic>().contains(*c);
    let (before, after) = (&chars[..at], chars.get(at + 1));
    match (chars[at], before) {
        (EMOJI_STYLE, [.., '0'..='9' | '#' | '*']) => after == Some(&KEYCAP),
        (EMOJI_STYLE, [.., picture]) => is_emoji(*picture),
        (JOINER, [.., picture, EMOJI_STYLE] | [.., picture]) => {
            is_emoji(*picture) && after.is_some_and(is_picture)
        }
        _ => false,
    }
}

/// A regular expression for lines without control characters, and without those that are refused wherever they stand.
pub(crate) fn line_pattern() -> &'static str {
    static PATTERN: LazyLock<String> = LazyLock::new(|| {
        let is_refused = |c: char| c.is_control() || is_invisible(c);
        let depends = |c: char| matches!(c, NON_JOINER | JOINER | EMOJI_STYLE);
        let refused: Vec<char> = ('\0'..=char::MAX).filter(|c| is_refused(*c) && !depends(*c)).collect();
        let ranges = refused.chunk_by(|one, next| u32::from(*one) + 1 == u32::from(*next));
        let class: String = ranges.map(|range| class_of(range[0], range[range.len() - 1])).collect();
        format!("^[^{class}]*$")
    });
    &PATTERN
}

/// Above U+FFFF the dialects of regular expressions have no common escape: there it is the character itself.
fn class_of(first: char, last: char) -> String {
    let escaped = |c: char| match u32::from(c) {
        code @ 0..=0xffff => format!("\\u{code:04x}"),
        _ => c.to_string(),
    };
    if first == last { escaped(first) } else { format!("{}-{}", escaped(first), escaped(last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_found() {
        for c in "\u{ad}\u{34f}\u{61c}\u{3164}\u{200b}\u{200e}\u{2028}\u{202e}\u{2060}\u{2066}\u{feff}\u{fffb}\u{e0041}"
            .chars()
        {
            assert_eq!(first_invisible(&format!("Ann {c} Petrova")), Some(c), "{c:?}");
            assert_eq!(first_invisible(&format!("An{c}n")), Some(c), "{c:?}");
        }
        assert_eq!(first_invisible("Ann Petrova, Анна Петрова, 安娜, آنا, O’Neill, +7 495"), None);
    }

    #[test]
    fn joiners_may_stay_where_a_script_needs_them() {
        // A Persian name, and a Hindi word.
        assert_eq!(first_invisible("علی\u{200c}پور"), None);
        assert_eq!(first_invisible("क्\u{200d}ष"), None);
        for (name, joiner) in [("An\u{200d}n", JOINER), ("An\u{200c}n", NON_JOINER), ("\u{200d}", JOINER)] {
            assert_eq!(first_invisible(name), Some(joiner), "{name:?}");
        }
        // One that may stay excuses no other.
        assert_eq!(first_invisible("علی\u{200c}پو\u{202e}ر"), Some(NON_JOINER));
    }

    #[test]
    fn an_emoji_may_have_several_characters() {
        for emoji in ["❤\u{fe0f}", "👩🏽\u{200d}💻", "🏳\u{fe0f}\u{200d}🌈", "1\u{fe0f}\u{20e3}"]
        {
            assert_eq!(first_invisible(emoji), None, "{emoji:?}");
        }
        for (text, c) in [
            ("Ann\u{fe0f}", EMOJI_STYLE),
            ("1\u{fe0f}", EMOJI_STYLE),
            ("❤\u{200d}Ann", JOINER),
            ("\u{fe0f}", EMOJI_STYLE),
        ] {
            assert_eq!(first_invisible(text), Some(c), "{text:?}");
        }
    }

    #[test]
    fn the_pattern_names_what_is_refused_everywhere() {
        let pattern = line_pattern();
        for part in [
            r"\u0000-\u001f",
            r"\u007f-\u009f",
            r"\u00ad",
            r"\u200b\u200e-\u200f",
            r"\u2028-\u202e",
            "\u{e0000}",
        ] {
            assert!(pattern.contains(part), "{part} is not in {pattern}");
        }
    }
}
