//! Where the instances of a service are: addresses, and names that stand for several of them.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use http::uri::Authority;

/// Finds the addresses behind `host:port`.
pub(crate) type Resolver =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Where the instances of a service are: `host:port`, or several of them with commas in between. A host may be a name with many
/// addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Vec<Authority>);

/// Why a text is no target.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not host:port")]
pub struct NoTarget(String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let parse = |part: &str| {
            // As the other styles write where a service is.
            let bare = part.trim().trim_start_matches("http://").trim_end_matches('/');
            let authority = bare.parse().ok().filter(|it: &Authority| {
                it.port_u16().is_some() && !it.host().is_empty() && !bare.contains('@')
            });
            authority.ok_or_else(|| NoTarget(part.to_owned()))
        };
        text.split(',').map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Target {
    /// What requests name as their authority, whichever instance they go to.
    pub(crate) fn authority(&self) -> &Authority {
        // Splitting a text yields at least one part.
        &self.0[0]
    }

    /// All addresses.
    ///
    /// # Errors
    /// When there is none, with the reason.
    pub(crate) async fn addresses(&self, resolver: &Resolver) -> Result<BTreeSet<SocketAddr>, String> {
        let answers = join_all(self.0.iter().map(|authority| resolver(authority.to_string()))).await;
        let mut found = BTreeSet::new();
        let mut wrong = "no address".to_owned();
        for (authority, answer) in self.0.iter().zip(answers) {
            match answer {
                Ok(addresses) => found.extend(addresses),
                Err(error) => wrong = error.to_string(),
            }
            if found.is_empty() {
                wrong = format!("{authority} cannot be resolved: {wrong}");
            }
        }
        if found.is_empty() { Err(wrong) } else { Ok(found) }
    }
}

/// The system's own way: DNS, `/etc/hosts`.
pub(crate) fn system() -> Resolver {
    Arc::new(|authority| Box::pin(async move { Ok(tokio::net::lookup_host(authority).await?.collect()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_place_or_several() {
        let one: Target = "http://billing:8080/".parse().unwrap();
        assert_eq!(one, "billing:8080".parse().unwrap());
        let two: Target = "127.0.0.1:1, [::1]:2".parse().unwrap();
        assert_eq!(two.0, ["127.0.0.1:1", "[::1]:2"]);
        for wrong in ["", "billing", "billing:", "a:1,,b:2", "me@billing:1", "a:1/path", "a:x"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong:?}");
        }
    }
}
