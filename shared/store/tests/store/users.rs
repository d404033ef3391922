//! Users: whom billing takes for whom, and which version of a profile replaces which.

use domain::{Balance, Profile, Registration, RegistrationRefusal, UserId};
use sqlx::Connection as _;
use store::Once;
use store::billing::{self, UpdateRefusal, User};

use crate::world::{
    Fresh, connect, process, registration, registration_of, request, until_waiting, user, user_with,
};

fn profile(first: Option<&str>, last: Option<&str>, email: &str, phone: Option<&str>) -> Profile {
    Profile {
        first_name: first.map(|text| text.parse().unwrap()),
        last_name: last.map(|text| text.parse().unwrap()),
        email: email.parse().unwrap(),
        phone: phone.map(|text| text.parse().unwrap()),
    }
}

/// All of a user that can be told, in the order of [`profile`], with balance and version.
fn told(user: &User) -> (&str, [Option<&str>; 2], &str, Option<&str>, Balance, i64) {
    (
        user.username.as_str(),
        [user.first_name.as_deref(), user.last_name.as_deref()],
        user.email.as_str(),
        user.phone.as_deref(),
        user.balance,
        user.version,
    )
}

#[tokio::test]
async fn a_user_is_stored_as_registered_with_an_empty_account() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(1).await;
    let mut conn = connect(&pool).await;
    let registration = Registration {
        username: "ann".parse().unwrap(),
        profile: profile(Some("Ann"), Some("Petrova"), "ann@example.org", Some("+7 495 000-00-00")),
    };
    let key = request();
    let registered = billing::register(&mut conn, key, &registration, "hash").await.unwrap();
    let Once::Done(Ok(id)) = registered else { panic!("{registered:?}") };
    let again = billing::register(&mut conn, key, &registration, "another hash").await.unwrap();
    assert_eq!(again, Once::Repeated(Ok(id)));
    let other = registration_of("bob", "bob@example.org");
    assert_eq!(billing::register(&mut conn, key, &other, "hash").await.unwrap(), Once::Reused);

    let user = billing::find_user(&mut conn, id).await.unwrap().unwrap();
    assert_eq!(user.id, id);
    assert_eq!(
        told(&user),
        ("ann", [Some("Ann"), Some("Petrova")], "ann@example.org", Some("+7 495 000-00-00"), Balance(0), 1)
    );
    let hashes: Vec<String> =
        sqlx::query_scalar("select password_hash from users").fetch_all(&mut *conn).await.unwrap();
    assert_eq!(hashes, ["hash"]);
    assert!(billing::find_user(&mut conn, UserId(id.0 + 1)).await.unwrap().is_none());
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_name_and_an_address_are_taken_without_regard_to_case_and_the_refusal_stays() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(1).await;
    let mut conn = connect(&pool).await;
    let first = registration_of("Ann", "Ann@example.org");
    billing::register(&mut conn, request(), &first, "hash").await.unwrap();
    for (username, email, refusal) in [
        ("aNN", "bob@example.org", RegistrationRefusal::UsernameTaken),
        ("bob", "aNN@example.org", RegistrationRefusal::EmailTaken),
        ("Ann", "Ann@example.org", RegistrationRefusal::UsernameTaken),
    ] {
        let (key, taken) = (request(), registration_of(username, email));
        let refused = billing::register(&mut conn, key, &taken, "hash").await.unwrap();
        assert_eq!(refused, Once::Done(Err(refusal)), "{username} {email}");
        let again = billing::register(&mut conn, key, &taken, "hash").await.unwrap();
        assert_eq!(again, Once::Repeated(Err(refusal)), "{username} {email}");
    }
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(users, 1);
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_profile_is_replaced_as_a_whole_and_its_version_raised() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    // Each has an account of its own.
    let (other, id) = (user_with(&pool, 50).await, user_with(&pool, 20).await);
    user_with(&pool, 30).await;
    let mut conn = connect(&pool).await;
    let username = billing::find_user(&mut conn, id).await.unwrap().unwrap().username;
    let full = profile(Some("Ann"), Some("Petrova"), "ann@example.org", Some("1"));
    let updated = billing::update_profile(&mut conn, id, &full, None).await.unwrap().unwrap();
    let names = [Some("Ann"), Some("Petrova")];
    let expected = (username.as_str(), names, "ann@example.org", Some("1"), Balance(20), 2);
    assert_eq!(told(&updated), expected);
    assert_eq!(told(&billing::find_user(&mut conn, id).await.unwrap().unwrap()), expected);

    // The address stays one's own.
    let bare = profile(None, None, "ann@example.org", None);
    let updated = billing::update_profile(&mut conn, id, &bare, None).await.unwrap().unwrap();
    assert_eq!(updated.id, id);
    let expected = (username.as_str(), [None, None], "ann@example.org", None, Balance(20), 3);
    assert_eq!(told(&updated), expected);
    let other = billing::find_user(&mut conn, other).await.unwrap().unwrap();
    assert_eq!((other.version, other.email == "ann@example.org"), (1, false));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn only_the_version_that_was_seen_is_replaced_and_nobody_elses_address_is_taken() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let id = user(&pool).await;
    let mut conn = connect(&pool).await;
    let taken = registration();
    billing::register(&mut conn, request(), &taken, "hash").await.unwrap();
    let free = profile(None, None, "ann@example.org", None);
    let seen = billing::update_profile(&mut conn, id, &free, Some(1)).await.unwrap();
    assert_eq!(seen.unwrap().version, 2);
    let refused = [
        (id, &free, Some(1), UpdateRefusal::OtherVersion),
        (id, &free, Some(3), UpdateRefusal::OtherVersion),
        (UserId(1_000_000), &free, None, UpdateRefusal::NotFound),
        (UserId(1_000_000), &free, Some(1), UpdateRefusal::NotFound),
        (id, &taken.profile, Some(2), UpdateRefusal::EmailTaken),
    ];
    for (user, profile, if_version, refusal) in refused {
        let update = billing::update_profile(&mut conn, user, profile, if_version).await.unwrap();
        assert_eq!(update.map(|user| user.id), Err(refusal), "{user} {if_version:?}");
    }
    assert_eq!(billing::find_user(&mut conn, id).await.unwrap().unwrap().version, 2);
    drop(conn);
    fresh.stop().await;
}

/// Until the transaction ends in which what it says is told.
#[tokio::test]
async fn a_locked_profile_waits_for_its_change_which_may_fail_for_that() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(3).await;
    let (id, bystander) = (user(&pool).await, user(&pool).await);
    let mut conn = connect(&pool).await;
    let mut tx = conn.begin().await.unwrap();
    assert!(billing::lock_user(&mut tx, UserId(1_000_000)).await.unwrap().is_none());
    assert_eq!(billing::lock_user(&mut tx, id).await.unwrap().unwrap().version, 1);

    // Nobody else has to wait.
    let mut impatient = connect(&pool).await;
    let other = profile(None, None, "bob@example.org", None);
    billing::update_profile(&mut impatient, bystander, &other, None).await.unwrap().unwrap();

    let new = profile(None, None, "ann@example.org", None);
    sqlx::query("set statement_timeout = '50ms'").execute(&mut *impatient).await.unwrap();
    // That is neither a refusal nor a version.
    billing::update_profile(&mut impatient, id, &new, None).await.unwrap_err();
    sqlx::query("set statement_timeout = '30s'").execute(&mut *impatient).await.unwrap();

    let waiting = process(&mut impatient).await;
    let update = tokio::spawn(async move { billing::update_profile(&mut impatient, id, &new, None).await });
    until_waiting(&mut tx, waiting).await;
    tx.commit().await.unwrap();
    assert_eq!(update.await.unwrap().unwrap().unwrap().version, 2);
    drop(conn);
    fresh.stop().await;
}
