//! Problem details outside, statuses inside: one table, read both ways.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Number, Value};
use web::Problem;

use crate::code::Code;
use crate::refusal::Refusal;

/// Which status of HTTP is which of gRPC. Where several are one, the first one is meant if nothing else is said.
const TABLE: [(StatusCode, Code); 11] = [
    (StatusCode::BAD_REQUEST, Code::InvalidArgument),
    (StatusCode::NOT_FOUND, Code::NotFound),
    (StatusCode::CONFLICT, Code::AlreadyExists),
    (StatusCode::PRECONDITION_FAILED, Code::FailedPrecondition),
    (StatusCode::UNPROCESSABLE_ENTITY, Code::Aborted),
    (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
    (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
    (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
    // An answer that is late is no answer, for a client of ours.
    (StatusCode::SERVICE_UNAVAILABLE, Code::DeadlineExceeded),
    (StatusCode::SERVICE_UNAVAILABLE, Code::Cancelled),
    (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
];

/// Keys of the metadata with a meaning of their own; the others are extension members.
const TITLE: &str = "title";
const STATUS: &str = "status";
/// Extension members that are numbers in JSON; metadata has only text.
const NUMBERS: [&str; 1] = ["orderId"];

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        let row = TABLE.iter().find(|(status, _)| status.as_u16() == problem.status);
        let code = row.map_or(Code::Internal, |row| row.1);
        if code == Code::Internal {
            return Self::internal();
        }
        let mut refusal =
            Self::new(code, problem.code.as_ref(), problem.detail.as_deref().unwrap_or_default());
        refusal = refusal.with(TITLE, problem.title.as_ref());
        if status_of(code).as_u16() != problem.status {
            refusal = refusal.with(STATUS, problem.status.to_string());
        }
        for (member, value) in &problem.extensions {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            refusal = refusal.with(member, text);
        }
        refusal.retry_after = problem.retry_after_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        refusal
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::from(&problem)
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let status = status_of(refusal.code);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return Self::internal();
        }
        if matches!(refusal.code, Code::DeadlineExceeded | Code::Cancelled) {
            return Self::unavailable(refusal.detail.clone());
        }
        let said = refusal.metadata.get(STATUS).and_then(|text| text.parse().ok());
        let said = said.filter(|said| TABLE.contains(&(*said, refusal.code)));
        let mut problem = Self::new(said.unwrap_or(status), "", "The request was refused");
        problem.code = Cow::Owned(reason_of(refusal));
        problem.kind = format!("/problems/{}", problem.code);
        problem.detail = Some(refusal.detail.clone()).filter(|detail| !detail.is_empty());
        for (key, text) in &refusal.metadata {
            match key.as_str() {
                TITLE => problem.title = Cow::Owned(text.clone()),
                STATUS => {}
                _ => _ = problem.extensions.insert(key.clone(), json(key, text)),
            }
        }
        let seconds = refusal.retry_after.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
        // A 503 always says when to come back.
        let default = (problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16()).then_some(1);
        problem.retry_after_seconds = seconds.or(default);
        problem
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::from(&refusal)
    }
}

fn status_of(code: Code) -> StatusCode {
    let row = TABLE.iter().find(|row| row.1 == code);
    row.map_or(StatusCode::INTERNAL_SERVER_ERROR, |row| row.0)
}

/// The reason, or, of a callee that does not give one, the name of the code as a reason would be written.
fn reason_of(refusal: &Refusal) -> String {
    if refusal.reason.is_empty() {
        refusal.code.name().to_lowercase().replace('_', "-")
    } else {
        refusal.reason.clone()
    }
}

fn json(member: &str, text: &str) -> Value {
    let number = NUMBERS.contains(&member).then(|| text.parse::<Number>().ok()).flatten();
    number.map_or_else(|| Value::from(text), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every problem that there is here comes back as it was, and as the status that the contract says.
    #[test]
    fn every_row_is_the_same_there_and_back() {
        let codes = [
            (400, Code::InvalidArgument),
            (404, Code::NotFound),
            (409, Code::AlreadyExists),
            (412, Code::FailedPrecondition),
            (422, Code::Aborted),
            (413, Code::ResourceExhausted),
            (429, Code::ResourceExhausted),
            (503, Code::Unavailable),
        ];
        for (status, code) in codes {
            let mut problem = Problem::new(StatusCode::from_u16(status).unwrap(), "some-code", "Some title")
                .detail("Zu wenig Geld: 0,90 €.")
                .with("field", "42")
                .with("orderId", 9_007_199_254_740_991_u64);
            for (retry_after, also_without_detail) in [(Some(1), false), (Some(30), true)] {
                problem.retry_after_seconds = retry_after;
                if also_without_detail {
                    problem.detail = None;
                }
                let refusal = Refusal::from(&problem);
                assert_eq!((refusal.code, refusal.reason.as_str()), (code, "some-code"));
                // As it travels.
                let refusal = Refusal::of(&refusal.to_status());
                assert_eq!(Problem::from(refusal), problem, "{status}");
            }
        }
        let rows = TABLE.iter().map(|row| row.0.as_u16());
        let covered = |status| status == 500 || codes.iter().any(|it| it.0 == status);
        assert!(rows.into_iter().all(covered), "a row that this test does not know");
    }

    #[test]
    fn a_fault_shows_no_internals_in_either_direction() {
        let problem = Problem::internal().detail("password=1");
        assert_eq!(Refusal::from(problem), Refusal::internal());
        for code in [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unimplemented] {
            let refusal = Refusal::new(code, "secret", "password=1").with("stack", "main.rs:1");
            assert_eq!(Problem::from(refusal), Problem::internal(), "{code:?}");
        }
    }

    #[test]
    fn a_deadline_that_has_passed_is_503_with_a_time_to_come_back() {
        let problem = Problem::from(Refusal::deadline_exceeded());
        assert_eq!((problem.status, problem.code.as_ref()), (503, "unavailable"));
        assert_eq!(problem.retry_after_seconds, Some(1));
    }

    #[test]
    fn a_callee_that_gives_no_reason_has_one_outside_all_the_same() {
        let problem = Problem::from(Refusal::new(Code::NotFound, "", "No."));
        assert_eq!((problem.status, problem.code.as_ref()), (404, "not-found"));
        assert_eq!(problem.kind, "/problems/not-found");
        let made_up = Refusal::new(Code::NotFound, "x", "").with(STATUS, "200");
        assert_eq!(Problem::from(made_up).status, 404, "a status that is not this code's");
    }
}
