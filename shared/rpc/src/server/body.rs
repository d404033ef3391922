//! The body of an answer that streams: it ends at the deadline, as a call does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use crate::refusal::Refusal;

/// A body that ends with `DEADLINE_EXCEEDED` if it has not ended by itself before.
pub(crate) struct Until {
    body: tonic::body::Body,
    deadline: Pin<Box<Sleep>>,
    is_over: bool,
}

impl Until {
    pub(crate) fn new(body: tonic::body::Body, deadline: Instant) -> Self {
        Self { body, deadline: Box::pin(sleep_until(deadline)), is_over: false }
    }
}

impl Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if self.deadline.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.is_over = true;
        let mut trailers = HeaderMap::new();
        let status = Refusal::deadline_exceeded().to_status();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }
}
