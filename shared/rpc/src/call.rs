//! A call that is being put together: awaiting it makes it.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message;
use web::{PeerError, Retry, Terms};

use crate::client::Channel;
use crate::error::CallError;
use crate::method::Method;
use crate::wire::frame;

/// A call that answers with an `R`. Nothing happens until it is awaited.
#[must_use = "a call is made when it is awaited"]
pub struct Call<'a, R> {
    channel: &'a Channel,
    method: &'static Method,
    message: Bytes,
    terms: Terms,
    answer: PhantomData<fn() -> R>,
}

impl Channel {
    /// A call of `method`. Generated clients make it.
    pub fn call<R>(&self, method: &'static Method, request: &impl Message) -> Call<'_, R> {
        let retry = if method.may_be_repeated() { Retry::Yes } else { Retry::No };
        let terms = Terms { retry, timeout: None };
        Call { channel: self, method, message: frame(request), terms, answer: PhantomData }
    }
}

impl<R> Call<'_, R> {
    /// Is not repeated, although it might be: a service further down the path does that.
    pub fn once(mut self) -> Self {
        self.terms.retry = Retry::No;
        self
    }

    /// Waits longer, or shorter, than the usual call does; never past the request's deadline.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = Some(timeout);
        self
    }
}

impl<'a, R: Message + Default + 'a> IntoFuture for Call<'a, R> {
    type Output = Result<R, CallError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { channel, method, message, terms, .. } = self;
            let peer = channel.name();
            match channel.ask(method, message, terms).await? {
                Ok(bytes) => R::decode(bytes).map_err(|error| {
                    let cause = format!("its answer to {} is another message: {error}", method.full_name());
                    CallError::Peer(PeerError::Unanswered { peer, cause })
                }),
                Err(refusal) => Err(CallError::Refused { peer, refusal }),
            }
        })
    }
}
