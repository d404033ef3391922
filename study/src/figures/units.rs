//! How figures are written: so many digits as they are worth, and the unit beside them.

/// Between digits and units: no line break, and narrow.
const THIN: char = '\u{202f}';

/// A duration, in milliseconds or seconds.
pub(crate) fn ms(ms: f64) -> String {
    if ms.abs() >= 1000.0 { format!("{:.2}{THIN}s", ms / 1e3) } else { format!("{}{THIN}ms", short(ms)) }
}

/// A duration given in seconds.
pub(crate) fn seconds(s: f64) -> String {
    if s.abs() >= 10.0 { format!("{}{THIN}s", count(s)) } else { format!("{s:.2}{THIN}s") }
}

/// A part of a whole.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = usize::from(percent.abs() < 10.0 && (percent - percent.round()).abs() > 0.05);
    format!("{percent:.digits$}{THIN}%")
}

/// How much more one figure is than another.
pub(crate) fn times(factor: f64) -> String {
    format!("{}{THIN}×", if factor < 10.0 { format!("{factor:.1}") } else { count(factor) })
}

/// A number of things, in groups of three digits; averages with a digit behind the point.
pub(crate) fn count(number: f64) -> String {
    let rounded = number.round();
    if number.abs() < 100.0 && (number - rounded).abs() > 0.05 {
        return format!("{number:.1}");
    }
    let digits = format!("{:.0}", rounded.abs());
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    let sign = if rounded < 0.0 { "−" } else { "" };
    format!("{sign}{}", groups.join(&THIN.to_string()))
}

/// A count that is a whole number anyway.
#[expect(clippy::cast_precision_loss, reason = "figures are shown with three digits or so")]
pub(crate) fn whole(number: u64) -> f64 {
    number as f64
}

/// Memory.
pub(crate) fn megabytes(bytes: f64) -> String {
    format!("{:.1}{THIN}MB", bytes / 1e6)
}

/// A ratio to the limit, such as `0.43`.
pub(crate) fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// A rate or an amount of some unit, with three digits that count.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        size if size < 0.005 => "0".to_owned(),
        size if size < 1.0 => format!("{number:.2}"),
        size if size < 100.0 => format!("{number:.1}"),
        _ => count(number),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [init @ .., last] => {
            let init: Vec<&str> = init.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", init.join(", "), last.as_ref())
        }
    }
}

/// `1 order`, `2 orders`.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(whole(number)), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_they_are_worth() {
        assert_eq!(ms(0.123), "0.12\u{202f}ms");
        assert_eq!(ms(12.84), "12.8\u{202f}ms");
        assert_eq!(ms(1_234.0), "1.23\u{202f}s");
        assert_eq!(count(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(count(4.0), "4");
        assert_eq!(count(4.26), "4.3");
        assert_eq!(percent(0.034), "3.4\u{202f}%");
        assert_eq!(percent(1.0), "100\u{202f}%");
        assert_eq!(times(1.72), "1.7\u{202f}×");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(plural(1, "order"), "1 order");
    }
}
