//! What makes an effect happen once: the request is stored in the transaction of its effect, with how it ended.

use std::collections::HashSet;

use domain::{Operation, RequestId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use crate::{Once, StoreError, mistake};

/// What [`begin`] found.
pub(super) enum Begun<T> {
    /// Nothing: go on, and [`finish`] in the same transaction.
    First,
    /// The same request, finished.
    Repeated(T),
    /// A request of the same id that asked for something else.
    Reused,
}

/// Claims `request`. Waits while a repeat of it is in flight in another transaction.
pub(super) async fn begin<T: DeserializeOwned>(
    conn: &mut PgConnection,
    request: RequestId,
    operation: Operation,
    asked: &impl Serialize,
) -> Result<Begun<T>, StoreError> {
    let asked = serde_json::to_value(asked)?;
    let inserted = sqlx::query(
        "insert into requests (request_id, operation, asked) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(request)
    .bind(operation.as_str())
    .bind(Json(&asked))
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 || mistake::is_made("mistake::no_request_key") {
        return Ok(Begun::First);
    }
    Ok(match repeated(conn, request, &asked).await? {
        Once::Done(outcome) | Once::Repeated(outcome) => Begun::Repeated(outcome),
        Once::Reused => Begun::Reused,
    })
}

/// How a request that is known ended, if it asked for the same.
pub(super) async fn repeated<T: DeserializeOwned>(
    conn: &mut PgConnection,
    request: RequestId,
    asked: &impl Serialize,
) -> Result<Once<T>, StoreError> {
    let (known, outcome): (Json<Value>, Json<Value>) =
        sqlx::query_as("select asked, outcome from requests where request_id = $1")
            .bind(request)
            .fetch_one(conn)
            .await?;
    let same = known.0 == serde_json::to_value(asked)?;
    Ok(if same { Once::Repeated(serde_json::from_value(outcome.0)?) } else { Once::Reused })
}

/// Those of `requests` that are known.
pub(super) async fn known(
    conn: &mut PgConnection,
    requests: impl Iterator<Item = RequestId>,
) -> Result<HashSet<RequestId>, StoreError> {
    let known = sqlx::query_scalar("select request_id from requests where request_id = any($1)");
    let known: Vec<RequestId> =
        known.bind(requests.map(|it| it.0).collect::<Vec<_>>()).fetch_all(conn).await?;
    Ok(known.into_iter().collect())
}

/// Remembers how `request` ended.
pub(super) async fn finish(
    conn: &mut PgConnection,
    request: RequestId,
    outcome: &impl Serialize,
) -> Result<(), StoreError> {
    sqlx::query("update requests set outcome = $2 where request_id = $1")
        .bind(request)
        .bind(Json(outcome))
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes [`begin`] back, for an outcome that is not to be remembered.
pub(super) async fn forget(conn: &mut PgConnection, request: RequestId) -> Result<(), StoreError> {
    sqlx::query("delete from requests where request_id = $1").bind(request).execute(conn).await?;
    Ok(())
}

/// A request that ended, as billing remembers it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FinishedRequest {
    /// [`Operation::as_str`] of what was asked.
    pub operation: String,
    /// `{"Ok": ...}` or `{"Err": refusal}`, as the operation's own result type serializes.
    pub outcome: Json<Value>,
}

/// Looks up how a request ended; `None` when it is unknown or has not ended.
pub async fn find_request(
    conn: &mut PgConnection,
    request: RequestId,
) -> Result<Option<FinishedRequest>, StoreError> {
    Ok(sqlx::query_as(
        "select operation, outcome from requests where request_id = $1 and outcome is not null",
    )
    .bind(request)
    .fetch_optional(conn)
    .await?)
}
