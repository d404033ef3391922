//! A service: its methods, and what answers them.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message;

use crate::code::Code;
use crate::method::Method;
use crate::refusal::Refusal;

/// Answers the message of a call.
pub(crate) type Handler = Box<dyn Fn(Bytes) -> BoxFuture<'static, Result<Bytes, Refusal>> + Send + Sync>;

/// A service, as generated code makes it of an implementation.
pub struct Service {
    pub(crate) name: &'static str,
    pub(crate) methods: Vec<(&'static Method, Handler)>,
}

impl Service {
    /// A service without methods.
    pub fn new(name: &'static str) -> Self {
        Self { name, methods: Vec::new() }
    }

    /// Answers `method` by `handle`.
    #[must_use]
    pub fn method<Q, R, F>(
        mut self,
        method: &'static Method,
        handle: impl Fn(Q) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        Q: Message + Default + 'static,
        R: Message + 'static,
        F: Future<Output = Result<R, Refusal>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |message| match Q::decode(message) {
            Ok(request) => {
                let answer = handle(request);
                Box::pin(async move { Ok(answer.await?.encode_to_vec().into()) })
            }
            Err(error) => Box::pin(std::future::ready(Err(not_a_message(&error)))),
        });
        self.methods.push((method, handler));
        self
    }
}

fn not_a_message(error: &prost::DecodeError) -> Refusal {
    tracing::debug!(%error, "a request that is no message");
    Refusal::new(Code::InvalidArgument, "invalid-request", "The request is not the message of this method.")
}
