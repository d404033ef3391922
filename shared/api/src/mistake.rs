//! A mistake on purpose, for showing that the checks find it. It exists only in builds with the feature `failpoints`.

use domain::{Profile, UserId};
use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnection;
use store::billing::{User, find_user, update_profile};

use crate::ApiError;

/// Whether the mistake is to be made.
pub(crate) fn appends_before_it_locks() -> bool {
    fail::fail_point!("mistake::append_before_lock", |_| true);
    false
}

/// Says what the profile will be before it holds the row: two updates at a time say the same version, and one is not heard.
pub(crate) async fn tell_and_update_profile<T>(
    tx: &mut PgConnection,
    id: UserId,
    profile: &Profile,
    tell: T,
) -> Result<User, ApiError>
where
    T: for<'c> FnOnce(&'c mut PgConnection, &'c User) -> BoxFuture<'c, Result<(), ApiError>>,
{
    let mut user = find_user(tx, id).await?.ok_or(ApiError::NotFound("user"))?;
    user.version += 1;
    profile.email.as_str().clone_into(&mut user.email);
    tell(tx, &user).await?;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    Ok(update_profile(tx, id, profile, None).await??)
}
