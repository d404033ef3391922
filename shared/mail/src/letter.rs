//! An email as it goes over the wire: envelope addresses and an RFC 5322 message.

use lettre::message::{Mailbox, SinglePart};
use lettre::{Address, Message};

use crate::QueuedEmail;
use crate::address::{needs_smtp_utf8, on_the_wire};

/// Why an email can never be sent, whatever the server says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LetterError {
    #[error("unusable recipient address: {0}")]
    Recipient(#[from] lettre::address::AddressError),
    #[error("cannot be composed: {0}")]
    Message(#[from] lettre::error::Error),
}

pub(crate) struct Letter {
    pub(crate) from: Address,
    pub(crate) to: Address,
    /// Headers and body, not yet dot-stuffed.
    pub(crate) content: Vec<u8>,
}

impl Letter {
    /// The same email always gets the same Message-ID; only `Date` says when this copy was made.
    pub(crate) fn compose(from: &Mailbox, email: &QueuedEmail) -> Result<Self, LetterError> {
        let to = on_the_wire(&email.to.parse()?)?;
        // lettre makes CRLF of line feeds alone. A carriage return without one is no line end in SMTP (RFC 5321, section 2.3.8):
        // some servers refuse it, and some take it for one, so that a dot after it could end the email early.
        let body = email.body.replace("\r\n", "\n").replace('\r', "\n");
        let message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to.clone()))
            .message_id(Some(format!("<{}>", email.message_id)))
            .subject(email.subject.as_str())
            .singlepart(SinglePart::plain(body))?;
        Ok(Self { from: from.email.clone(), to, content: message.formatted() })
    }

    /// Needs a server that speaks SMTPUTF8 (RFC 6531): it has such an address in its envelope and its headers.
    pub(crate) fn needs_smtp_utf8(&self) -> bool {
        needs_smtp_utf8(&self.from) || needs_smtp_utf8(&self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose(to: &str, subject: &str) -> Result<String, LetterError> {
        compose_with_body(to, subject, "Привет,\n.\nпока\n")
    }

    fn compose_with_body(to: &str, subject: &str, body: &str) -> Result<String, LetterError> {
        let from = "Shop <shop@mail.example>".parse().unwrap();
        let email = QueuedEmail {
            id: 1,
            message_id: "1.paid@mail.example".to_owned(),
            to: to.to_owned(),
            subject: subject.to_owned(),
            body: body.to_owned(),
            attempts: 1,
            taken_over: false,
            traceparent: None,
        };
        Letter::compose(&from, &email).map(|letter| String::from_utf8(letter.content).unwrap())
    }

    #[test]
    fn the_message_carries_its_headers() {
        let message = compose("ann@mail.example", "Paid").unwrap();
        for line in [
            "From: Shop <shop@mail.example>\r\n",
            "To: ann@mail.example\r\n",
            "Message-ID: <1.paid@mail.example>\r\n",
            "Subject: Paid\r\n",
            "MIME-Version: 1.0\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Date: ",
        ] {
            assert!(message.contains(line), "{line:?} is missing from\n{message}");
        }
        assert!(message.is_ascii());
    }

    #[test]
    fn an_international_domain_is_ascii_in_the_headers_too() {
        let message = compose("ann@bücher.example", "Paid").unwrap();
        assert!(message.contains("To: ann@xn--bcher-kva.example\r\n") && message.is_ascii(), "{message}");
    }

    #[test]
    fn an_unusable_recipient_is_an_error() {
        for to in [
            "",
            "ann",
            "ann@",
            "ann@bü\u{200e}cher.example",
            "ann@mail.example, bob@mail.example",
            "ann@mail.example\r\nDATA",
        ] {
            assert!(compose(to, "Paid").is_err(), "{to:?}");
        }
    }

    #[test]
    fn every_line_end_of_the_body_is_one_in_smtp() {
        let message =
            compose_with_body("ann@mail.example", "Paid", "one\rtwo\r\nthree\n\r.\r\nfour").unwrap();
        assert!(message.contains("\r\n\r\none\r\ntwo\r\nthree\r\n\r\n.\r\nfour"), "{message:?}");
    }

    #[test]
    fn a_subject_cannot_add_a_header() {
        let message = compose("ann@mail.example", "Paid\r\nBcc: eve@mail.example").unwrap();
        assert!(!message.contains("\r\nBcc:"), "{message}");
    }
}
