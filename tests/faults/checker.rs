//! A check that cannot fail proves nothing: each kind of corruption is made by hand, and must be found.

use std::time::Duration;

use anyhow::ensure;
use lab::eventually;
use lab::styles::Features;
use lab::{Invariant, Letter, Service};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::harness::{Outcome, Stage, Suite, broken_cases, cases};
use crate::wire::{Wire, envelope, replace_header};

const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    cases!(suite, "checker", [every_corruption_is_found]);
    broken_cases!(
        suite,
        "checker",
        where |features: &Features| features.requests_are_messages,
        [what_is_wrong_on_the_broker_is_found]
    );
}

/// An invariant, a statement that breaks it, and one that mends it. Order 1 is paid, order 2 is not, both of user 1.
const CORRUPTIONS: &[(Invariant, &str, &str)] = &[
    (
        Invariant::Money,
        "update billing.accounts set balance = balance + 1",
        "update billing.accounts set balance = balance - 1",
    ),
    (
        Invariant::Money,
        "update billing.ledger set balance_after = 11 where order_id = 1",
        "update billing.ledger set balance_after = 10 where order_id = 1",
    ),
    (
        Invariant::Withdrawals,
        "update billing.ledger set order_id = 99 where order_id = 1",
        "update billing.ledger set order_id = 1 where order_id = 99",
    ),
    (
        Invariant::Withdrawals,
        "update billing.ledger set user_id = 2 where order_id = 1",
        "update billing.ledger set user_id = 1 where order_id = 1",
    ),
    (
        Invariant::Withdrawals,
        r#"update "order".orders set price = 91 where id = 1"#,
        r#"update "order".orders set price = 90 where id = 1"#,
    ),
    (
        Invariant::Withdrawals,
        r#"update "order".orders set version = 3 where id = 1"#,
        r#"update "order".orders set version = 2 where id = 1"#,
    ),
    (
        Invariant::Withdrawals,
        r#"update "order".orders set status = 'rejected', reason = 'insufficient-funds' where id = 1"#,
        r#"update "order".orders set status = 'paid', reason = null where id = 1"#,
    ),
    (
        Invariant::NothingLeft,
        r#"update "order".orders set status = 'pending', reason = null, version = 1 where id = 2"#,
        r#"update "order".orders set status = 'rejected', reason = 'insufficient-funds', version = 2 where id = 2"#,
    ),
    (
        Invariant::Withdrawals,
        "insert into billing.ledger (user_id, kind, amount, balance_after, order_id) values (2, 'withdrawal', 5, 0, 2)",
        "delete from billing.ledger where order_id = 2",
    ),
    (
        Invariant::Money,
        "insert into billing.ledger (user_id, kind, amount, balance_after) values (1, 'deposit', 5, 15);
         update billing.accounts set balance = balance + 5 where user_id = 1",
        "delete from billing.ledger where balance_after = 15;
         update billing.accounts set balance = balance - 5 where user_id = 1",
    ),
    (
        Invariant::Promises,
        "update billing.users set id = 77 where id = 3",
        "update billing.users set id = 3 where id = 77",
    ),
    (
        Invariant::Emails,
        "update notification.emails set order_id = 99 where order_id = 1",
        "update notification.emails set order_id = 1 where order_id = 99",
    ),
    (
        Invariant::Emails,
        "update notification.emails set title = 'Order is paid' where order_id = 2",
        "update notification.emails set title = 'Not enough money' where order_id = 2",
    ),
    (
        Invariant::Emails,
        "update notification.emails set message_id = 'x' || message_id",
        "update notification.emails set message_id = substr(message_id, 2)",
    ),
];

/// The same where there are bookings. Order 3 is a paid booking, of user 4.
const CORRUPTIONS_OF_BOOKINGS: &[(Invariant, &str, &str)] = &[
    (
        Invariant::Seats,
        "update ticket.events set free = free - 1, reserved = reserved + 1",
        "update ticket.events set free = free + 1, reserved = reserved - 1",
    ),
    (
        Invariant::Seats,
        "update ticket.tickets set state = 'released' where order_id = 3;
         update ticket.events set free = free + 1, sold = sold - 1",
        "update ticket.tickets set state = 'sold' where order_id = 3;
         update ticket.events set free = free - 1, sold = sold + 1",
    ),
    (
        Invariant::Seats,
        "insert into ticket.tickets (order_id, event_id, state) values (99, 1, 'sold');
         update ticket.events set free = free - 1, sold = sold + 1",
        "delete from ticket.tickets where order_id = 99;
         update ticket.events set free = free + 1, sold = sold - 1",
    ),
    (
        Invariant::Withdrawals,
        "insert into billing.ledger (user_id, kind, amount, balance_after, order_id) values (4, 'refund', 7, 10, 3)",
        "delete from billing.ledger where kind = 'refund'",
    ),
    (
        Invariant::NothingLeft,
        r#"update "order".sagas set state = '{"is": "confirming"}' where order_id = 3"#,
        r#"update "order".sagas set state = '{"is": "ended"}' where order_id = 3"#,
    ),
    (
        Invariant::Emails,
        "update notification.emails set title = 'Order is paid' where order_id = 3",
        "update notification.emails set title = 'Booking is paid' where order_id = 3",
    ),
];

async fn every_corruption_is_found(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.api.order(user, 90, &[]).await?;
    stage.api.order(user, 90, &[]).await?;
    stage.api.create_user().await?;
    stage.api.create_user().await?;
    let mut corruptions = CORRUPTIONS.to_vec();
    if stage.style.features.has_bookings {
        let user = stage.api.create_user_with(10).await?;
        stage.api.set_capacity(domain::EventId(1), 5).await?;
        ensure!(
            stage.api.book(user, 7, domain::EventId(1), &[]).await?.order_id() == Some(domain::OrderId(3))
        );
        corruptions.extend_from_slice(CORRUPTIONS_OF_BOOKINGS);
    }
    stage.check_at_rest().await?;
    let mut admin = PgConnection::connect(stage.database_as_admin().as_str()).await?;
    // As a superuser's session that no foreign key stops: a corruption is what the schema did not prevent.
    sqlx::raw_sql("set session_replication_role = replica; alter table billing.users alter id drop identity")
        .execute(&mut admin)
        .await?;
    for (invariant, corrupt, mend) in corruptions {
        sqlx::raw_sql(corrupt).execute(&mut admin).await?;
        let found = stage.violated_now().await?;
        ensure!(found.contains(&invariant), "{corrupt}: found {found:?}, not {invariant:?}");
        sqlx::raw_sql(mend).execute(&mut admin).await?;
        let found = stage.violated_now().await?;
        ensure!(found.is_empty(), "{mend}: still {found:?}");
    }
    // A session that forgets its transaction, for longer than the second that is allowed.
    sqlx::raw_sql("begin; select 1").execute(&mut admin).await?;
    eventually(SOON, async || {
        ensure!(stage.violated_now().await? == [Invariant::Sessions]);
        Ok(())
    })
    .await?;
    sqlx::raw_sql("rollback").execute(&mut admin).await?;
    // A second mail about the same thing, under another Message-ID.
    let mailbox = stage.sink()?.mailbox().clone();
    let copy = mailbox.path().join("999999.eml");
    let original = std::fs::read_to_string(mailbox.path().join("000001.eml"))?;
    std::fs::write(&copy, original.replace("@arch.homework>", "-again@arch.homework>"))?;
    ensure!(stage.violated_now().await? == [Invariant::Emails]);
    std::fs::remove_file(copy)?;
    // A promise to a client that was not kept.
    stage.api.promise_order(domain::OrderId(99));
    ensure!(stage.violated_now().await? == [Invariant::Promises]);
    stage.api.forget_promises();
    Ok(admin.close().await?)
}

async fn what_is_wrong_on_the_broker_is_found(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    stage.api.order(user, 90, &[]).await?;
    stage.check_at_rest().await?;
    // Of a type that nobody handles, so that nothing but the checker hears it.
    let gossip = async |subject: &str, version: &str, body: &str| {
        let headers = envelope("Gossip", Uuid::now_v7());
        let headers = replace_header(&headers, "ce_subject", Some(subject));
        let headers = replace_header(&headers, "ce_aggregateversion", Some(version));
        wire.publish("orders", b"1", headers, body.as_bytes()).await
    };
    for version in ["1", "1", "2"] {
        gossip("gossip/1", version, "{}").await?;
    }
    stage.check_at_rest().await?;

    // What nobody has read.
    stage.deployment.stop_service(Service::Order).await?;
    gossip("gossip/1", "3", "{}").await?;
    found(stage, &[Invariant::NothingLeft]).await?;
    stage.deployment.start_service(Service::Order).await?;
    stage.check_at_rest().await?;

    // A dead letter that is not expected, and one that is and is missing.
    let headers = replace_header(&envelope("Gossip", Uuid::now_v7()), "ce_type", None);
    let (topic, partition, offset) = wire.publish("users", b"1", headers, b"{}").await?;
    eventually(SOON, async || {
        ensure!(!wire.read("users.billing.dlt").await?.is_empty(), "it is not put aside");
        Ok(())
    })
    .await?;
    ensure!(stage.violated_now().await?.contains(&Invariant::NothingLeft));
    stage.api.expect_dead_letter(&topic, partition, offset, Letter::Expected);
    stage.api.expect_dead_letter(&topic, partition, offset + 1, Letter::Possible);
    stage.check_at_rest().await?;
    stage.api.expect_dead_letter(&topic, partition, offset + 1, Letter::Expected);
    found(stage, &[Invariant::NothingLeft]).await?;
    stage.api.expect_dead_letter(&topic, partition, offset + 1, Letter::Possible);

    // An older version after a newer one, and one version in two ways.
    gossip("gossip/2", "2", "{}").await?;
    gossip("gossip/2", "1", "{}").await?;
    found(stage, &[Invariant::Replicas]).await?;
    gossip("gossip/3", "1", "{}").await?;
    gossip("gossip/3", "1", "[]").await?;
    found(stage, &[Invariant::Replicas; 2]).await
}

/// Waits until the checker finds just that.
async fn found(stage: &Stage, expected: &[Invariant]) -> Outcome {
    eventually(SOON, async || {
        let found = stage.violated_now().await?;
        ensure!(found == expected, "found {found:?}, not {expected:?}");
        Ok(())
    })
    .await
}
