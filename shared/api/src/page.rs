//! Lists come in pages, oldest first: a user may have a hundred thousand emails, and no answer has to hold them all.
//!
//! A page begins behind an id and not at an offset, so what is added meanwhile shifts nothing, and a late page costs no more than
//! the first. `Link` (RFC 8288) names the next one.

use axum::response::{IntoResponse as _, Response};
use domain::{EmailId, OrderId, UserId};
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The query of `GET /orders`.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct OrdersQuery {
    /// Only this user's orders; everybody's without.
    #[param(inline)]
    pub user_id: Option<UserId>,
    /// Only orders with a larger id: the last one of the page before.
    #[param(inline)]
    pub after: Option<OrderId>,
    /// Orders on the page.
    #[serde(default)]
    #[param(inline, required = false)]
    pub limit: PageLimit,
}

/// The query of `GET /notification/email/{userId}`.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct EmailsQuery {
    /// Only emails with a larger id: the last one of the page before.
    #[param(inline)]
    pub after: Option<EmailId>,
    /// Emails on the page.
    #[serde(default)]
    #[param(inline, required = false)]
    pub limit: PageLimit,
}

/// Entries on a page: 1 to 100, 20 if not said.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(try_from = "u16")]
#[schema(value_type = u16, minimum = 1, maximum = 100, default = 20)]
pub struct PageLimit(u16);

impl Default for PageLimit {
    fn default() -> Self {
        Self(20)
    }
}

impl TryFrom<u16> for PageLimit {
    type Error = String;

    fn try_from(limit: u16) -> Result<Self, String> {
        if (1..=100).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(format!("must be 1 to 100, not {limit}"))
        }
    }
}

impl PageLimit {
    /// The number.
    pub fn entries(self) -> u16 {
        self.0
    }

    /// How many entries to look up: one more than the page has, to know whether there is a next one.
    pub(crate) fn to_look_up(self) -> i64 {
        i64::from(self.0) + 1
    }
}

/// Some entries of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Oldest first.
    pub entries: Vec<T>,
    /// Entries that it could have.
    pub limit: PageLimit,
    /// There are others behind the last one.
    pub has_next: bool,
}

impl<T> Page<T> {
    /// The page of what was [looked up](PageLimit::to_look_up).
    pub(crate) fn of<E: Into<T>>(mut found: Vec<E>, limit: PageLimit) -> Self {
        let has_next = found.len() > usize::from(limit.0);
        found.truncate(limit.0.into());
        Self { entries: found.into_iter().map(E::into).collect(), limit, has_next }
    }
}

impl<T: Serialize> Page<T> {
    /// The page as an answer. `next` is the address of the page behind its last entry, but for the limit.
    pub fn respond(self, next: impl FnOnce(&T) -> String) -> Response {
        let Self { entries, limit, has_next } = self;
        match entries.last() {
            Some(last) if has_next => {
                let link = format!("<{}&limit={}>; rel=\"next\"", next(last), limit.0);
                ([(header::LINK, link)], axum::Json(entries)).into_response()
            }
            _ => axum::Json(entries).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_page_has_1_to_100_entries_and_20_if_nothing_is_said() {
        let look_up = |limit: Value| serde_json::from_value(limit).map(PageLimit::to_look_up);
        assert_eq!([1, 100].map(|limit| look_up(json!(limit)).unwrap()), [2, 101]);
        for limit in [json!(0), json!(101), json!(-1)] {
            assert!(look_up(limit.clone()).is_err(), "{limit}");
        }
        let query: EmailsQuery = serde_json::from_value(json!({})).unwrap();
        assert_eq!(query.limit.to_look_up(), 21);
    }

    #[tokio::test]
    async fn a_page_names_the_next_one_only_if_there_is_more() {
        let limit = PageLimit::try_from(2).unwrap();
        for (found, shown, link) in [
            (vec![], json!([]), None),
            (vec![3, 4], json!([3, 4]), None),
            (vec![3, 4, 5], json!([3, 4]), Some("</list?after=4&limit=2>; rel=\"next\"")),
        ] {
            let answer = Page::<i64>::of::<i64>(found, limit).respond(|last| format!("/list?after={last}"));
            let named = answer.headers().get(header::LINK).map(|link| link.to_str().unwrap().to_owned());
            assert_eq!(named.as_deref(), link);
            let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), shown);
        }
    }
}
