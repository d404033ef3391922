//! An address as it goes over the wire: its domain in ASCII, as A-labels (IDNA), which every SMTP server takes.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use lettre::Address;
use lettre::address::AddressError;

/// `address` with an ASCII domain.
///
/// # Errors
/// When IDNA does not know the domain.
pub(crate) fn on_the_wire(address: &Address) -> Result<Address, AddressError> {
    if address.domain().is_ascii() {
        // As it is: whether it leads anywhere is for the server to say.
        return Ok(address.clone());
    }
    let domain = Uts46::new()
        .to_ascii(
            address.domain().as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .map_err(|_| AddressError::InvalidDomain)?;
    Address::new(address.user(), domain)
}

/// Whether it needs a server that speaks SMTPUTF8 (RFC 6531): for what stands before the `@` there are no A-labels.
pub(crate) fn needs_smtp_utf8(address: &Address) -> bool {
    !address.user().is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_goes_over_the_wire_in_ascii() {
        for (written, wire) in [
            ("Ann@Example.org", "Ann@Example.org"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("анна@почта.рф", "анна@xn--80a1acny.xn--p1ai"),
            ("ann@straße.example", "ann@xn--strae-oqa.example"),
        ] {
            assert_eq!(on_the_wire(&written.parse().unwrap()).unwrap().to_string(), wire);
        }
        // The library takes it for a domain.
        assert!(on_the_wire(&"ann@-bücher.example".parse().unwrap()).is_err());
    }
}
