//! A check that cannot fail proves nothing: each kind of corruption is made by hand, and must be found.

use std::time::Duration;

use anyhow::ensure;
use sqlx::{Connection as _, PgConnection};
use study::client::eventually;

use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(suite, "checker", [every_corruption_is_found]);
}

/// An invariant, a statement that breaks it, and one that mends it. Order 1 is paid, order 2 is not, both of user 1.
const CORRUPTIONS: &[(u8, &str, &str)] = &[
    (
        1,
        "update billing.accounts set balance = balance + 1",
        "update billing.accounts set balance = balance - 1",
    ),
    (
        1,
        "update billing.ledger set balance_after = 11 where order_id = 1",
        "update billing.ledger set balance_after = 10 where order_id = 1",
    ),
    (
        2,
        "update billing.ledger set order_id = 99 where order_id = 1",
        "update billing.ledger set order_id = 1 where order_id = 99",
    ),
    (
        2,
        "update billing.ledger set user_id = 2 where order_id = 1",
        "update billing.ledger set user_id = 1 where order_id = 1",
    ),
    (
        2,
        r#"update "order".orders set price = 91 where id = 1"#,
        r#"update "order".orders set price = 90 where id = 1"#,
    ),
    (
        2,
        r#"update "order".orders set version = 3 where id = 1"#,
        r#"update "order".orders set version = 2 where id = 1"#,
    ),
    (
        2,
        r#"update "order".orders set status = 'rejected', reason = 'insufficient-funds' where id = 1"#,
        r#"update "order".orders set status = 'paid', reason = null where id = 1"#,
    ),
    (
        3,
        r#"update "order".orders set status = 'pending', reason = null, version = 1 where id = 2"#,
        r#"update "order".orders set status = 'rejected', reason = 'insufficient-funds', version = 2 where id = 2"#,
    ),
    (
        2,
        "insert into billing.ledger (user_id, kind, amount, balance_after, order_id) values (2, 'withdrawal', 5, 0, 2)",
        "delete from billing.ledger where order_id = 2",
    ),
    (
        1,
        "insert into billing.ledger (user_id, kind, amount, balance_after) values (1, 'deposit', 5, 15);
         update billing.accounts set balance = balance + 5 where user_id = 1",
        "delete from billing.ledger where balance_after = 15;
         update billing.accounts set balance = balance - 5 where user_id = 1",
    ),
    (4, "update billing.users set id = 77 where id = 3", "update billing.users set id = 3 where id = 77"),
    (
        5,
        "update notification.emails set order_id = 99 where order_id = 1",
        "update notification.emails set order_id = 1 where order_id = 99",
    ),
    (
        5,
        "update notification.emails set title = 'Order is paid' where order_id = 2",
        "update notification.emails set title = 'Not enough money' where order_id = 2",
    ),
    (
        5,
        "update notification.emails set message_id = 'x' || message_id",
        "update notification.emails set message_id = substr(message_id, 2)",
    ),
];

async fn every_corruption_is_found(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.api.order(user, 90, &[]).await?;
    stage.api.order(user, 90, &[]).await?;
    stage.api.create_user().await?;
    stage.api.create_user().await?;
    stage.check_at_rest().await?;
    let mut admin = PgConnection::connect(stage.database_as_admin().as_str()).await?;
    // As a superuser's session that no foreign key stops: a corruption is what the schema did not prevent.
    sqlx::raw_sql("set session_replication_role = replica; alter table billing.users alter id drop identity")
        .execute(&mut admin)
        .await?;
    for &(invariant, corrupt, mend) in CORRUPTIONS {
        sqlx::raw_sql(corrupt).execute(&mut admin).await?;
        let found = stage.violated_now().await?;
        ensure!(found.contains(&invariant), "{corrupt}: found {found:?}, not {invariant}");
        sqlx::raw_sql(mend).execute(&mut admin).await?;
        let found = stage.violated_now().await?;
        ensure!(found.is_empty(), "{mend}: still {found:?}");
    }
    // A session that forgets its transaction, for longer than the second that is allowed.
    sqlx::raw_sql("begin; select 1").execute(&mut admin).await?;
    eventually(Duration::from_secs(10), async || {
        ensure!(stage.violated_now().await? == [7]);
        Ok(())
    })
    .await?;
    sqlx::raw_sql("rollback").execute(&mut admin).await?;
    // A second mail about the same thing, under another Message-ID.
    let mailbox = stage.sink()?.mailbox().clone();
    let copy = mailbox.path().join("999999.eml");
    let original = std::fs::read_to_string(mailbox.path().join("000001.eml"))?;
    std::fs::write(&copy, original.replace("@arch.homework>", "-again@arch.homework>"))?;
    ensure!(stage.violated_now().await? == [5]);
    std::fs::remove_file(copy)?;
    // A promise to a client that was not kept.
    stage.api.promise_order(domain::OrderId(99));
    ensure!(stage.violated_now().await? == [4]);
    stage.api.forget_promises();
    Ok(admin.close().await?)
}
