//! What travels along with a request from service to service: its id and its deadline.
//!
//! The W3C trace context travels too, but in the current `tracing` span.

use std::future::Future;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;
use uuid::Uuid;

/// Names the request in every log on its way.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Milliseconds that are left for the answer; the receiver gives up in time for the sender to hear of it.
pub(crate) const DEADLINE_MS: HeaderName = HeaderName::from_static("x-deadline-ms");

/// The deadline where nobody has set one.
const DEADLINE: Duration = Duration::from_secs(3);

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// The id and the deadline of the request that is being answered.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// `X-Request-Id`: the client's, or one made here.
    pub id: String,
    /// When the answer must be out.
    pub deadline: Instant,
}

impl RequestContext {
    /// A context of its own, for work that no request waits for.
    pub fn background(deadline: Duration) -> Self {
        Self { id: Uuid::now_v7().to_string(), deadline: Instant::now() + deadline }
    }

    /// The context of an incoming request, until it is known by when the answer must be out.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut context = Self::background(DEADLINE);
        if let Some(id) = text(headers, &REQUEST_ID).filter(|id| (1..=128).contains(&id.len())) {
            id.clone_into(&mut context.id);
        }
        context
    }

    /// How long the caller waits for the answer, if it says so.
    pub(crate) fn asked_within(headers: &HeaderMap) -> Option<Duration> {
        text(headers, &DEADLINE_MS).and_then(|ms| ms.parse().ok()).map(Duration::from_millis)
    }

    /// The context of the current task; a fresh one with a 3 s deadline outside of any request.
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_else(|_| Self::background(DEADLINE))
    }

    /// The id where only a UUID will do: one made here if the client's is none.
    pub fn uuid(&self) -> Uuid {
        self.id.parse().unwrap_or_else(|_| Uuid::now_v7())
    }

    /// Runs `work` in this context.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// The same request with another deadline, for work that goes on after the answer.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Instant::now() + deadline;
        self
    }

    /// Time that is left; zero when the deadline has passed.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
