//! Email addresses that can be written to: an SMTP server could take every one that is accepted.

use email_address::EmailAddress as Syntax;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat};

use crate::TextError;
use crate::text::one_line;
use crate::text_type::text_type;

/// Most bytes of an address in SMTP: a path has 256 with its angle brackets (RFC 5321, section 4.5.3.1.3).
const BYTES_MAX: usize = 254;

text_type!(
    /// An email address (RFC 5321, RFC 6531), with no display name, quoted local part or address literal.
    ///
    /// It is kept in Unicode's normalization form C, and its domain as people write it: in lower case, an international one in
    /// its own script, also if it came as A-labels (`xn--...`). So one address is not two. Over the wire go A-labels.
    EmailAddress,
    |text| address(&text),
    ObjectBuilder::new()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
        .min_length(Some(3))
        .max_length(Some(BYTES_MAX))
);

impl EmailAddress {
    /// Whether only a server that speaks SMTPUTF8 (RFC 6531) takes it: there are A-labels for domains, and nothing for what
    /// stands before the `@`.
    pub fn needs_smtp_utf8(&self) -> bool {
        !self.as_str().rsplit_once('@').is_some_and(|(local, _)| local.is_ascii())
    }
}

fn address(text: &str) -> Result<String, TextError> {
    let text = one_line(text, 3, BYTES_MAX)?;
    let (local, domain) = text.rsplit_once('@').ok_or(TextError::NotAnEmailAddress)?;
    // Quotes and white space of other scripts: what the RFCs allow and no mail client sends to.
    let odd = |c: char| c == '"' || c.is_whitespace();
    if !Syntax::is_valid_local_part(local) || local.contains(odd) {
        return Err(TextError::NotAnEmailAddress);
    }
    let (domain, wire_bytes) = domain_and_wire_bytes(domain).ok_or(TextError::NotADomain)?;
    let actual = local.len() + 1 + wire_bytes;
    if actual > BYTES_MAX {
        return Err(TextError::AddressLength { max: BYTES_MAX, actual });
    }
    Ok(format!("{local}@{domain}"))
}

/// A domain as people write it, and how long it is as A-labels; `None` if IDNA or DNS has no such domain.
fn domain_and_wire_bytes(domain: &str) -> Option<(String, usize)> {
    const LETTERS_DIGITS_HYPHEN: AsciiDenyList = AsciiDenyList::STD3;
    // A hyphen in the third and fourth place is for A-labels alone, but is out there in others.
    const INSIDE: Hyphens = Hyphens::CheckFirstLast;
    let (idna, domain) = (Uts46::new(), domain.as_bytes());
    let wire = idna.to_ascii(domain, LETTERS_DIGITS_HYPHEN, INSIDE, DnsLength::Verify).ok()?;
    // No top-level domain is a number (RFC 3696, section 2): it is an IP address without its brackets.
    if wire.rsplit('.').next()?.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (shown, valid) = idna.to_unicode(domain, LETTERS_DIGITS_HYPHEN, INSIDE);
    valid.ok().map(|()| (shown.into_owned(), wire.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(address: &str) -> Result<String, TextError> {
        address.parse::<EmailAddress>().map(String::from)
    }

    #[test]
    fn an_email_address_is_one_address() {
        assert!(kept("ann@example.org").is_ok());
        for bad in [
            "ann",
            "@example.org",
            "ann@",
            "Ann <ann@example.org>",
            "<ann@example.org>",
            "a@b@c",
            "ann@example.org, bob@example.org",
            "ann@example.org\nBcc: eve@example.org",
            "\"a b\"@example.org",
            "a\u{a0}b@example.org",
            ".ann@example.org",
            "ann..p@example.org",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@1",
        ] {
            assert!(kept(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_international_domain_is_kept_in_its_own_script_however_it_is_written() {
        for typed in [
            "ann@bücher.example",
            "ann@BÜCHER.example",
            "ann@bu\u{308}cher.example",
            "ann@xn--bcher-kva.example",
            "ann@XN--Bcher-KVA.Example",
            "ann@bücher。example",
        ] {
            assert_eq!(kept(typed).as_deref(), Ok("ann@bücher.example"), "{typed}");
        }
        assert_eq!(kept("Ann@Example.ORG").as_deref(), Ok("Ann@example.org"));
        assert_eq!(kept("ann@почта.рф").as_deref(), Ok("ann@почта.рф"));
    }

    #[test]
    fn a_domain_that_idna_or_dns_does_not_have_is_refused() {
        let long_label = format!("ann@{}.example", "b".repeat(64));
        // 60 characters, and 65 as an A-label.
        let long_as_a_label = format!("ann@{}ü.example", "b".repeat(59));
        for bad in [
            "ann@example.org.",
            "ann@.example.org",
            "ann@example..org",
            "ann@-example.org",
            "ann@example-.org",
            "ann@exa_mple.org",
            "ann@exa mple.org",
            "ann@xn--zzzzzz.example",
            "ann@xn--.example",
            "ann@xn--ann-.example",
            "ann@\u{301}bücher.example",
            "ann@bü\u{fffd}cher.example",
            "ann@שרהann.example",
            &long_label,
            &long_as_a_label,
        ] {
            assert_eq!(kept(bad), Err(TextError::NotADomain), "{bad:?}");
        }
    }

    #[test]
    fn nothing_in_an_address_is_invisible() {
        for (address, c) in [("a\u{200b}nn@example.org", '\u{200b}'), ("ann@exam\u{ad}ple.org", '\u{ad}')] {
            assert_eq!(kept(address), Err(TextError::Invisible(c)), "{address:?}");
        }
    }

    #[test]
    fn an_address_has_room_in_smtp_as_it_goes_over_the_wire() {
        // With n times `b` and an `ü` a label has n + 8 bytes as an A-label.
        let address = |bs: [usize; 3]| {
            let labels = bs.map(|bs| "b".repeat(bs) + "ü");
            format!("{}@{}", "n".repeat(64), labels.join("."))
        };
        assert!(kept(&address([55, 54, 54])).is_ok());
        let one_more = TextError::AddressLength { max: 254, actual: 255 };
        assert_eq!(kept(&address([55, 55, 54])), Err(one_more));
        assert!(kept(&format!("n{}", address([50, 50, 50]))).is_err(), "65 bytes before the @");
    }

    #[test]
    fn only_what_stands_before_the_at_needs_smtp_utf8() {
        let needs = |address: &str| address.parse::<EmailAddress>().unwrap().needs_smtp_utf8();
        assert!(!needs("ann@example.org"));
        assert!(!needs("ann@bücher.example"));
        assert!(needs("анна@example.org"));
    }

    #[test]
    fn an_address_stays_what_it_is_when_it_is_parsed_again() {
        for typed in ["Ann@BÜCHER.example", "анна@xn--80a1acny.xn--p1ai", "rene\u{301}@example.org"] {
            let once = kept(typed).unwrap();
            assert_eq!(kept(&once), Ok(once.clone()), "{typed}");
        }
    }
}
