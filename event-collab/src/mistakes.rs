//! A mistake on purpose, for showing that the checks find it. It exists only in builds with the feature `failpoints`.

use api::ApiError;
use domain::{Profile, UserId};
use messaging::{Cause, Outbox};
use sqlx::postgres::PgConnection;
use store::billing::User;
use uuid::Uuid;

use crate::billing::{about_user, user_info};
use crate::messages::UserUpdated;

/// Whether the mistake is to be made.
pub(crate) fn appends_before_it_locks() -> bool {
    fail::fail_point!("mistake::append_before_lock", |_| true);
    false
}

/// Says what the profile will be before it holds the row: two updates at a time say the same version, and one is not heard.
pub(crate) async fn update_profile(
    tx: &mut PgConnection,
    outbox: &Outbox,
    id: UserId,
    profile: &Profile,
) -> Result<User, ApiError> {
    let mut user = store::billing::find_user(tx, id).await?.ok_or(ApiError::NotFound("user"))?;
    user.version += 1;
    user.email = profile.email.as_str().to_owned();
    let user_info = user_info(user).map_err(|error| ApiError::Internal(error.into()))?;
    let version = user_info.version;
    let message = about_user(id, &UserUpdated { user_info }).version(version);
    outbox.append(tx, &Cause::request(Uuid::now_v7()), vec![message]).await?;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    Ok(store::billing::update_profile(tx, id, profile, None).await??)
}
