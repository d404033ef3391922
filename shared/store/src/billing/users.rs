//! Users and their profiles.

use std::collections::HashMap;

use domain::{
    Balance, Line, Operation, Profile, Recorded, RecordedUser, Registration, RegistrationRefusal, RequestId,
    UserId,
};
use sqlx::postgres::PgConnection;

use super::requests::{self, Begun};
use crate::{Once, StoreError};

/// A user with the balance of the user's account.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// Never changes.
    pub username: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Where emails go.
    pub email: String,
    /// Phone number.
    pub phone: Option<String>,
    /// What the account holds.
    pub balance: Balance,
    /// Version of the profile, from 1.
    pub version: i64,
}

impl User {
    /// Name and profile, as others are told: without what only billing knows.
    ///
    /// # Errors
    /// When a stored text is none that a column may have.
    pub fn recorded(&self) -> Result<RecordedUser, StoreError> {
        let Self { username, first_name, last_name, email, phone, .. } = self.clone();
        Ok(RecordedUser {
            username: username.try_into()?,
            first_name: first_name.map(TryInto::try_into).transpose()?,
            last_name: last_name.map(TryInto::try_into).transpose()?,
            email: email.try_into()?,
            phone: phone.map(TryInto::try_into).transpose()?,
        })
    }
}

/// Registers a user and opens an account that holds 0, once per `request`. The password is not compared.
pub async fn register(
    conn: &mut PgConnection,
    request: RequestId,
    registration: &Registration,
    password_hash: &str,
) -> Result<Once<Result<UserId, RegistrationRefusal>>, StoreError> {
    match requests::begin(conn, request, Operation::CreateUser, registration).await? {
        Begun::First => {}
        Begun::Repeated(outcome) => return Ok(Once::Repeated(outcome)),
        Begun::Reused => return Ok(Once::Reused),
    }
    let profile = &registration.profile;
    // `on conflict` rather than an error: an error would end the transaction that must remember the refusal.
    let id: Option<UserId> = sqlx::query_scalar(
        "with registered as (
             insert into users (username, password_hash, first_name, last_name, email, phone)
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning id
         ), opened as (
             insert into accounts (user_id) select id from registered
         )
         select id from registered",
    )
    .bind(registration.username.as_str())
    .bind(password_hash)
    .bind(profile.first_name.as_ref().map(Line::as_str))
    .bind(profile.last_name.as_ref().map(Line::as_str))
    .bind(profile.email.as_str())
    .bind(profile.phone.as_ref().map(Line::as_str))
    .fetch_optional(&mut *conn)
    .await?;
    let outcome = match id {
        Some(id) => Ok(id),
        None => Err(why_taken(conn, registration).await?),
    };
    requests::finish(conn, request, &outcome).await?;
    Ok(Once::Done(outcome))
}

async fn why_taken(
    conn: &mut PgConnection,
    registration: &Registration,
) -> Result<RegistrationRefusal, StoreError> {
    let username_taken: bool =
        sqlx::query_scalar("select exists (select from users where lower(username) = lower($1))")
            .bind(registration.username.as_str())
            .fetch_one(conn)
            .await?;
    Ok(if username_taken { RegistrationRefusal::UsernameTaken } else { RegistrationRefusal::EmailTaken })
}

/// Looks up a user.
pub async fn find_user(conn: &mut PgConnection, id: UserId) -> Result<Option<User>, StoreError> {
    Ok(sqlx::query_as(
        "select u.id, username, first_name, last_name, email, phone, balance, version
         from users u join accounts a on a.user_id = u.id where u.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?)
}

/// Where those of `users` can be written to who exist.
pub async fn addresses(
    conn: &mut PgConnection,
    users: impl Iterator<Item = UserId>,
) -> Result<HashMap<UserId, Recorded<254>>, StoreError> {
    let addresses = sqlx::query_as("select id, email from users where id = any($1)");
    let users: Vec<i64> = users.map(|user| user.0).collect();
    let addresses: Vec<(UserId, String)> = addresses.bind(users).fetch_all(conn).await?;
    addresses.into_iter().map(|(user, email)| Ok((user, email.try_into()?))).collect()
}

/// Looks up a user and keeps the profile from changing until the transaction ends: what is said about it stays in order.
pub async fn lock_user(conn: &mut PgConnection, id: UserId) -> Result<Option<User>, StoreError> {
    sqlx::query("select from users where id = $1 for update").bind(id).execute(&mut *conn).await?;
    find_user(conn, id).await
}

/// Why a profile was not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateRefusal {
    /// No such user.
    NotFound,
    /// The profile has another version than the one the caller has seen.
    OtherVersion,
    /// Somebody else has this email address.
    EmailTaken,
}

/// Replaces a user's profile and raises its version by one; with `if_version`, only if it has this version.
///
/// A refusal leaves the transaction usable only for a rollback.
pub async fn update_profile(
    conn: &mut PgConnection,
    id: UserId,
    profile: &Profile,
    if_version: Option<i64>,
) -> Result<Result<User, UpdateRefusal>, StoreError> {
    let updated: Result<Option<User>, sqlx::Error> = sqlx::query_as(
        "update users u
         set first_name = $2, last_name = $3, email = $4, phone = $5, version = version + 1
         from accounts a
         where u.id = $1 and a.user_id = u.id and ($6::bigint is null or version = $6)
         returning u.id, username, first_name, last_name, email, phone, balance, version",
    )
    .bind(id)
    .bind(profile.first_name.as_ref().map(Line::as_str))
    .bind(profile.last_name.as_ref().map(Line::as_str))
    .bind(profile.email.as_str())
    .bind(profile.phone.as_ref().map(Line::as_str))
    .bind(if_version)
    .fetch_optional(&mut *conn)
    .await;
    match updated {
        Ok(Some(user)) => Ok(Ok(user)),
        Ok(None) => {
            let known = find_user(conn, id).await?.is_some();
            Ok(Err(if known { UpdateRefusal::OtherVersion } else { UpdateRefusal::NotFound }))
        }
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("users_email_key") => {
            Ok(Err(UpdateRefusal::EmailTaken))
        }
        Err(error) => Err(error.into()),
    }
}
