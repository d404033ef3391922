//! How gRPC writes messages and deadlines (PROTOCOL-HTTP2.md of its specification).

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// How long the caller waits.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// What a call ended with.
pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What every content type of gRPC begins with.
pub(crate) const CONTENT_TYPE: &str = "application/grpc";

/// The bytes before a message: whether it is compressed, and its length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// The one message of a unary call.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + length);
    framed.put_u8(0);
    // Of a message past 4 GB the bound of the receiver would not let anything through.
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode(&mut framed).expect("there is room for it");
    framed.freeze()
}

/// The one message in `body`.
///
/// # Errors
/// What it is instead.
pub(crate) fn unframe(mut body: Bytes) -> Result<Bytes, String> {
    if body.len() < PREFIX_BYTES {
        return Err(format!("a message of {} bytes, without its prefix", body.len()));
    }
    let (compressed, length) = (body.get_u8(), body.get_u32());
    if compressed != 0 {
        return Err("a compressed message, which was not asked for".to_owned());
    }
    if usize::try_from(length) != Ok(body.len()) {
        return Err(format!("{} bytes for a message of {length}", body.len()));
    }
    Ok(body)
}

/// `left` as a header's value.
pub(crate) fn timeout(left: Duration) -> HeaderValue {
    // At most eight digits are allowed: more than a day in milliseconds.
    let ms = left.as_millis().min(99_999_999);
    HeaderValue::try_from(format!("{ms}m")).expect("digits and a letter")
}

/// How long the caller waits, if it says so in a way that is allowed.
pub(crate) fn asked_within(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// Messages as bytes: what they are, generated code knows.
#[derive(Clone, Copy, Default)]
pub(crate) struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        asked_within(&HeaderMap::from_iter([(TIMEOUT, text.parse().unwrap())]))
    }

    #[test]
    fn a_deadline_is_read_in_every_unit_and_nothing_else_is_one() {
        for (text, duration) in [
            ("2H", Duration::from_hours(2)),
            ("3M", Duration::from_mins(3)),
            ("0S", Duration::ZERO),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("5u", Duration::from_micros(5)),
            ("7n", Duration::from_nanos(7)),
        ] {
            assert_eq!(asked(text), Some(duration), "{text}");
        }
        for text in ["", "m", "5", "5s", "-1S", "+1S", "1.5S", "123456789m", "5 m"] {
            assert_eq!(asked(text), None, "{text}");
        }
        assert_eq!(
            asked(timeout(Duration::from_millis(980)).to_str().unwrap()),
            Some(Duration::from_millis(980))
        );
        assert_eq!(timeout(Duration::from_secs(1_000_000)), "99999999m");
    }

    #[test]
    fn a_message_is_what_its_prefix_says() {
        let framed = frame(&"hello".to_owned());
        assert_eq!(String::decode(unframe(framed.clone()).unwrap()).unwrap(), "hello");
        let mut compressed = BytesMut::from(&framed[..]);
        compressed[0] = 1;
        for wrong in [Bytes::new(), framed.slice(..4), framed.slice(..6), compressed.freeze()] {
            assert!(unframe(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
