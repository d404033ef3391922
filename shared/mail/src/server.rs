//! Where the SMTP server is and who we are there, parsed once from a URL.

use lettre::address::AddressError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::{SMTP_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// Why the mail settings cannot be used. Never shows the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a URL.
    #[error("the SMTP server's URL is malformed")]
    Url(#[from] url::ParseError),
    /// `smtps:` in a build without TLS. Refused, since sending in the clear instead would be worse.
    #[error("this build has no TLS; use smtp://[user:password@]host[:port] over a network you trust")]
    NoTls,
    /// `?tls=`: TLS that begins in the middle of a session.
    #[error("STARTTLS is not supported; use smtps://[user:password@]host[:port]")]
    StartTls,
    /// TLS to this host cannot be set up.
    #[error("TLS to the SMTP server cannot be set up")]
    Tls(#[source] lettre::transport::smtp::Error),
    /// Neither `smtp:` nor `smtps:`.
    #[error("the SMTP server's URL must start with smtp://, not {0}:")]
    Scheme(String),
    /// Nothing to connect to.
    #[error("the SMTP server's URL names no host")]
    Host,
    /// More than a server's address.
    #[error("the SMTP server's URL must end after host and port")]
    Trailing,
    /// A user without a password or the other way round, or not UTF-8 when percent-decoded.
    #[error("the SMTP server's URL must give both user and password, or neither, percent-encoded")]
    Credentials,
    /// The sender cannot be parsed.
    #[error("the sender must be `address` or `Name <address>`")]
    From(#[from] AddressError),
}

/// An SMTP server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credentials: Option<Credentials>,
    /// For a session that is encrypted from its beginning.
    pub(crate) tls: Option<Tls>,
}

/// Whom to believe that the server is who it should be: the authorities that browsers know.
#[cfg(feature = "tls")]
pub(crate) type Tls = lettre::transport::smtp::client::TlsParameters;
/// There is none in this build.
#[cfg(not(feature = "tls"))]
pub(crate) type Tls = std::convert::Infallible;

#[cfg(feature = "tls")]
fn tls(host: &str) -> Result<Tls, ConfigError> {
    Tls::new_rustls(host.to_owned()).map_err(ConfigError::Tls)
}

#[cfg(not(feature = "tls"))]
fn tls(_host: &str) -> Result<Tls, ConfigError> {
    Err(ConfigError::NoTls)
}

impl Server {
    /// Parses `smtp[s]://[user:password@]host[:port]`.
    pub(crate) fn parse(url: &str) -> Result<Self, ConfigError> {
        let url = Url::parse(url)?;
        let encrypted = match url.scheme() {
            "smtp" if url.query().is_some_and(|query| query.contains("tls")) => {
                return Err(ConfigError::StartTls);
            }
            "smtp" => false,
            "smtps" => true,
            other => return Err(ConfigError::Scheme(other.to_owned())),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            // Without the brackets that the URL needs and the resolver does not know.
            Some(Host::Ipv6(ip)) => ip.to_string(),
            _ => return Err(ConfigError::Host),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::Trailing);
        }
        let port = url.port().unwrap_or(if encrypted { SUBMISSIONS_PORT } else { SMTP_PORT });
        let tls = if encrypted { Some(tls(&host)?) } else { None };
        Ok(Self { host, port, credentials: credentials(&url)?, tls })
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, ConfigError> {
    let decode = |text| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(ConfigError::Credentials),
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(ConfigError::Credentials),
        (user, Some(password)) => Ok(Some(Credentials::new(decode(user)?, decode(password)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> (String, u16) {
        let server = Server::parse(url).unwrap();
        (server.host, server.port)
    }

    #[test]
    fn host_and_port_are_taken_from_the_url() {
        assert_eq!(address("smtp://mail.example"), ("mail.example".to_owned(), 25));
        assert_eq!(address("smtp://127.0.0.1:2525/"), ("127.0.0.1".to_owned(), 2525));
        assert_eq!(address("smtp://[::1]:2525"), ("::1".to_owned(), 2525));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn an_encrypted_session_has_a_port_of_its_own() {
        assert_eq!(address("smtps://mail.example"), ("mail.example".to_owned(), 465));
        assert!(Server::parse("smtps://mail.example").unwrap().tls.is_some());
        assert!(Server::parse("smtp://mail.example").unwrap().tls.is_none());
    }

    #[test]
    fn credentials_are_percent_decoded() {
        let server = Server::parse("smtp://me%40mail.example:p%2Fss%3A@mail.example").unwrap();
        assert_eq!(server.credentials, Some(("me@mail.example", "p/ss:").into()));
        assert_eq!(Server::parse("smtp://mail.example").unwrap().credentials, None);
    }

    #[test]
    fn what_this_build_cannot_do_is_refused_by_name() {
        let error = |url| Server::parse(url).err().map(|error| error.to_string()).unwrap_or_default();
        let encrypted = error("smtps://mail.example");
        assert!(cfg!(feature = "tls") || encrypted.contains("no TLS"), "{encrypted}");
        for (url, part) in [
            ("smtp://mail.example?tls=required", "STARTTLS"),
            ("http://mail.example", "http:"),
            ("smtp:mail.example", "host"),
            ("smtp://mail.example/inbox", "end after"),
            ("smtp://me@mail.example", "both"),
            ("mail.example", "malformed"),
        ] {
            assert!(error(url).contains(part), "{url}: {}", error(url));
        }
    }

    #[test]
    fn no_error_shows_the_password() {
        for url in [
            "smtps://me:secret@mail.example/inbox",
            "smtp://me:secret@",
            "smtp://me:secret@h:99999",
            "x://me:secret@h",
        ] {
            let error = Server::parse(url).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}");
        }
    }
}
