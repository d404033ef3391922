//! The statuses of gRPC.

/// What a call ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// It was done.
    Ok,
    /// The caller gave up.
    Cancelled,
    /// An error of another system, about which no more is known.
    Unknown,
    /// The request cannot be right, whatever the state of the system.
    InvalidArgument,
    /// There was no outcome in time. It may still come about.
    DeadlineExceeded,
    /// There is no such thing.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// Not by this caller.
    PermissionDenied,
    /// Too much: of a quota, of space, of bytes.
    ResourceExhausted,
    /// Not in this state of the system.
    FailedPrecondition,
    /// Something else came between.
    Aborted,
    /// Past the end.
    OutOfRange,
    /// No such method here.
    Unimplemented,
    /// A fault of the service.
    Internal,
    /// Not now.
    Unavailable,
    /// Data is lost.
    DataLoss,
    /// It is not known who calls.
    Unauthenticated,
}

/// Each code, the one of the library, and its name in the specification.
const CODES: [(Code, tonic::Code, &str); 17] = [
    (Code::Ok, tonic::Code::Ok, "OK"),
    (Code::Cancelled, tonic::Code::Cancelled, "CANCELLED"),
    (Code::Unknown, tonic::Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, tonic::Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, tonic::Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, tonic::Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, tonic::Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, tonic::Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, tonic::Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, tonic::Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, tonic::Code::Aborted, "ABORTED"),
    (Code::OutOfRange, tonic::Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, tonic::Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, tonic::Code::Internal, "INTERNAL"),
    (Code::Unavailable, tonic::Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, tonic::Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, tonic::Code::Unauthenticated, "UNAUTHENTICATED"),
];

impl Code {
    /// Its name in the specification: `NOT_FOUND`.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Whether it says only that the callee failed, and nothing of what was done.
    pub fn is_failure(self) -> bool {
        use Code::{Cancelled, DataLoss, DeadlineExceeded, Internal, Unavailable, Unknown};
        matches!(self, Cancelled | DataLoss | DeadlineExceeded | Internal | Unavailable | Unknown)
    }

    pub(crate) fn of(code: tonic::Code) -> Self {
        CODES.iter().find(|row| row.1 == code).map_or(Self::Unknown, |row| row.0)
    }

    pub(crate) fn for_the_wire(self) -> tonic::Code {
        self.row().1
    }

    fn row(self) -> &'static (Self, tonic::Code, &'static str) {
        // In the order of the variants, as a test sees.
        &CODES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_its_row_under_its_number() {
        for (number, (code, wire, name)) in CODES.into_iter().enumerate() {
            assert_eq!((code as usize, i32::from(wire)), (number, i32::try_from(number).unwrap()), "{name}");
            assert_eq!((Code::of(wire), code.for_the_wire(), code.name()), (code, wire, name));
        }
    }
}
