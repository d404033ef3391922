//! Why a call was not done, as the callee says it: a status with details that programs can read.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::code::Code;

/// Who gives the reasons.
const DOMAIN: &str = "arch-homework";

/// The longest detail, in bytes. It is sent twice, and percent-encoded once of these times, in which text that is not ASCII takes
/// thrice the space.
const DETAIL_BYTES_MAX: usize = 512;
/// The longest reason and metadata together, in bytes. With the detail that is less than 4 KB on the wire: clients in other
/// languages lose statuses at random whose headers grow past 6 KB.
const METADATA_BYTES_MAX: usize = 1024;

/// A call that was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({reason}): {detail}", code.name())]
pub struct Refusal {
    /// The status. [`Code::Ok`] is no refusal, and is sent as [`Code::Internal`].
    pub code: Code,
    /// Stable, for programs: `insufficient-funds`. `ErrorInfo.reason` on the wire; empty if a callee does not give one.
    pub reason: String,
    /// What is wrong this time, for people. Cut off after 512 bytes.
    pub detail: String,
    /// What else a program may need. Entries that do not fit into 1 KB are left out.
    pub metadata: BTreeMap<String, String>,
    /// When to come back; in whole seconds.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal for `reason`.
    pub fn new(code: Code, reason: impl Into<String>, detail: impl Into<String>) -> Self {
        let (reason, detail) = (reason.into(), detail.into());
        Self { code, reason, detail, metadata: BTreeMap::new(), retry_after: None }
    }

    /// Our fault. The cause goes to the log, never to the caller.
    pub(crate) fn internal() -> Self {
        Self::new(
            Code::Internal,
            "internal",
            "Something went wrong here. The log has the cause under this request's id.",
        )
    }

    /// The time of the call is over.
    pub(crate) fn deadline_exceeded() -> Self {
        Self::new(
            Code::DeadlineExceeded,
            "deadline-exceeded",
            "The answer was not ready before the deadline.",
        )
    }

    /// The request has more bytes than the server takes.
    pub(crate) fn too_large() -> Self {
        Self::new(Code::ResourceExhausted, "body-too-large", "The message is too large.")
            .with("status", "413")
    }

    /// Adds what else a program may need.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// As it is sent.
    pub(crate) fn to_status(&self) -> Status {
        let code = if self.code == Code::Ok { Code::Internal } else { self.code };
        let reason = cut(&self.reason, 63);
        let mut room = METADATA_BYTES_MAX - reason.len();
        let fits = self.metadata.iter().filter(|(key, value)| {
            let bytes = key.len() + value.len();
            let fits = bytes <= room;
            room -= if fits { bytes } else { 0 };
            fits
        });
        let fits: Vec<_> = fits.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, DOMAIN, fits.into_iter().collect::<std::collections::HashMap<_, _>>());
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        Status::with_error_details(code.for_the_wire(), cut(&self.detail, DETAIL_BYTES_MAX), details)
    }

    /// As it was received. Details of others that are none of these are left out.
    pub(crate) fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let mut refusal = Self::new(Code::of(status.code()), "", status.message());
        if let Some(info) = details.error_info() {
            refusal.reason.clone_from(&info.reason);
            refusal.metadata.extend(info.metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        refusal.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        refusal
    }
}

/// The beginning of `text` that has at most `bytes`.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_arrives() {
        let mut refusal =
            Refusal::new(Code::FailedPrecondition, "insufficient-funds", "Zu wenig Geld: 0,90 €.")
                .with("orderId", "7")
                .with("title", "Not enough money");
        for retry_after in [None, Some(Duration::from_secs(1))] {
            refusal.retry_after = retry_after;
            assert_eq!(Refusal::of(&refusal.to_status()), refusal);
        }
    }

    #[test]
    fn a_status_stays_below_what_clients_take() {
        let mut refusal = Refusal::new(Code::NotFound, "r".repeat(1000), "ü".repeat(5000));
        for key in 0..100 {
            refusal = refusal.with(format!("key-{key}"), "v".repeat(50));
        }
        let headers = refusal.to_status().into_http::<()>().into_parts().0.headers;
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!((2000..4096).contains(&bytes), "{bytes} bytes");
    }
}
