//! What is told of an error: everything to the log, and to strangers only what kind of error it is.

use std::error::Error;
use std::io;

use crate::connector::TakesNoWrites;

/// `error` with its causes, in one line, for the log. A cause that an error has in its own text already, as `sqlx`'s have, is not
/// said again.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

/// What kind of error `error` is, for whoever asks a service how it is: no address, no role and no value of the database is in it.
pub fn condition(error: &sqlx::Error) -> String {
    let known = match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            return sql_condition(&code)
                .map_or_else(|| format!("it fails with SQLSTATE {code}"), ToOwned::to_owned);
        }
        sqlx::Error::Io(error) if is_read_only(error) => return TakesNoWrites.to_string(),
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => "it does not answer in time",
        sqlx::Error::Io(_) => "it cannot be reached",
        sqlx::Error::Tls(_) => "no TLS connection to it can be made",
        sqlx::Error::PoolTimedOut => "all connections to it are in use",
        sqlx::Error::PoolClosed => "the service is ending",
        _ => "it cannot be used",
    };
    known.to_owned()
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<TakesNoWrites>())
}

/// Conditions of PostgreSQL (its appendix A) that are about the server and not about a statement.
fn sql_condition(code: &str) -> Option<&'static str> {
    Some(match code {
        "25006" => "it takes no writes",
        "28000" | "28P01" => "it refuses the role or its password",
        "3D000" => "the database does not exist",
        "42501" => "the role lacks a permission",
        "53100" => "its disk is full",
        "53200" => "it has no memory left",
        "53300" => "it has no connection left",
        "55P03" => "a lock is held for too long",
        "57014" => "a statement took too long",
        "57P01" | "57P02" | "57P03" => "it is starting or stopping",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("order 3 cannot be stored")]
    struct Outer(#[source] sqlx::Error);

    #[test]
    fn a_chain_says_every_cause_once() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let error = Outer(sqlx::Error::Io(refused));
        assert_eq!(chain(&error), "order 3 cannot be stored: error communicating with database: refused");
    }

    #[test]
    fn strangers_are_told_the_kind_of_an_error_and_nothing_else() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "db.example:5432 refused");
        assert_eq!(condition(&sqlx::Error::Io(refused)), "it cannot be reached");
        let silent = io::Error::from(io::ErrorKind::TimedOut);
        assert_eq!(condition(&sqlx::Error::Io(silent)), "it does not answer in time");
        let read_only = sqlx::Error::from(TakesNoWrites);
        assert_eq!(condition(&read_only), "it takes no writes: it is a standby, or read-only");
        assert_eq!(condition(&sqlx::Error::PoolTimedOut), "all connections to it are in use");
    }
}
