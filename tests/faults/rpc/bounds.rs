//! What is too large, too short, or too old: deadlines of a millisecond, messages and headers past the bounds, connections that reach
//! their age.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use lab::styles::Features;
use lab::{Api, Service, eventually};
use reqwest::StatusCode;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::messages::{CreateOrder, GetUser, SendEmail, Withdraw};
use super::raw::{Raw, Reply};
use crate::faults::barrier::Barrier;
use crate::harness::{Outcome, Stage, Suite, cases};

const SOON: Duration = Duration::from_secs(30);

const GET_USER: &str = "/billing.v1.BillingService/GetUser";
const WITHDRAW: &str = "/billing.v1.BillingService/Withdraw";
const CREATE_ORDER: &str = "/order.v1.OrderService/CreateOrder";
const SEND_EMAIL: &str = "/notification.v1.NotificationService/SendEmail";

const OK: Option<&str> = Some("0");
const DEADLINE_EXCEEDED: Option<&str> = Some("4");
const RESOURCE_EXHAUSTED: Option<&str> = Some("8");

/// Of calls that are made at the same time: none may be told something else.
const CALLS: usize = 60;
/// Clients of a load, and the orders that each of them places.
const CLIENTS: usize = 8;
const ORDERS_EACH: usize = 40;
/// So many connections have to end during that load, or it shows nothing.
const ENDED_MIN: usize = 30;

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "bounds",
        where Features::has_rpcs,
        [
            a_deadline_of_a_millisecond_is_exceeded_and_leaves_nothing_half_done,
            an_order_with_hardly_any_time_is_none_or_a_whole_one,
            a_client_that_does_not_wait_at_all_is_told_where_to_look,
            a_message_past_the_bound_is_refused_and_harms_no_other_call,
            headers_past_the_bound_are_refused_and_harm_no_other_call,
            long_headers_of_a_client_go_no_further,
            #[settings(&[("CONNECTION_AGE_MAX_S", "0.1"), ("LOG_FILTER", "info,rpc=debug")])]
            connections_that_age_under_load_fail_no_order,
        ]
    );
}

async fn connect(stage: &Stage, service: Service) -> anyhow::Result<Raw> {
    Raw::connect(stage.deployment.listens_at(service)).await
}

fn withdrawal(user: domain::UserId) -> Withdraw {
    Withdraw { request_id: Uuid::new_v4().to_string(), user_id: user.0, amount_minor: 1 }
}

async fn a_deadline_of_a_millisecond_is_exceeded_and_leaves_nothing_half_done(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(1_000).await?;
    let billing = connect(stage, Service::Billing).await?;
    let withdrawals: Vec<_> = (0..CALLS).map(|_| withdrawal(user)).collect();
    // None of them can be done in time, however fast the machine is.
    let barrier = Barrier::at_account(stage, user).await?;
    let hurried = withdrawals.iter().map(|it| billing.call(WITHDRAW, &[("grpc-timeout", "1m")], it));
    let told = try_join_all(hurried).await?;
    barrier.lift().await?;
    let other: Vec<_> = told.iter().filter(|reply| reply.status() != DEADLINE_EXCEEDED).collect();
    ensure!(other.is_empty(), "{} of {CALLS}: {:?}", other.len(), other.first());
    // Whatever has become of them: who asks again under the same ids has each of them once.
    for withdrawal in &withdrawals {
        let again = billing.call(WITHDRAW, &[], withdrawal).await?;
        ensure!(again.status() == OK, "{again:?}");
    }
    ensure!(stage.api.balance(user).await? == 1_000 - i64::try_from(CALLS)?);

    let notification = connect(stage, Service::Notification).await?;
    let email = SendEmail {
        request_id: Uuid::new_v4().to_string(),
        user_id: user.0,
        email: "ann@example.org".to_owned(),
        title: "Hello".to_owned(),
        message: "Hi".to_owned(),
    };
    for (service, path, headers) in [
        (&billing, GET_USER, [("grpc-timeout", "1m")]),
        (&billing, GET_USER, [("grpc-timeout", "1n")]),
        (&notification, SEND_EMAIL, [("grpc-timeout", "1m")]),
    ] {
        let reply = match path {
            GET_USER => service.call(path, &headers, &GetUser { user_id: user.0 }).await?,
            _ => service.call(path, &headers, &email).await?,
        };
        // What is fast enough is an answer as any other.
        ensure!([OK, DEADLINE_EXCEEDED].contains(&reply.status()), "{path}: {reply:?}");
    }
    ensure!(notification.call(SEND_EMAIL, &[], &email).await?.status() == OK);
    ensure!(stage.api.emails(user).await?.len() == 1);
    Ok(())
}

async fn an_order_with_hardly_any_time_is_none_or_a_whole_one(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(1_000).await?;
    let orders = connect(stage, Service::Order).await?;
    let placed = async |request_id: &str, headers: &[(&str, &str)]| {
        let order = CreateOrder { request_id: request_id.to_owned(), user_id: user.0, price_minor: 1 };
        orders.call(CREATE_ORDER, headers, &order).await
    };
    let mut ids = Vec::new();
    // Too short to ask billing anything, so that nothing is written.
    for hurry in ["0m", "1n", "1m", "5m", "20m"] {
        let id = Uuid::new_v4().to_string();
        let reply = placed(&id, &[("grpc-timeout", hurry)]).await?;
        ensure!(reply.status() == DEADLINE_EXCEEDED, "{hurry}: {reply:?}");
        ids.push(id);
    }
    stage.check_at_rest().await?;
    let written = stage.api.list(&format!("orders?userId={user}")).await?;
    ensure!(written.is_empty(), "{written:?}");
    // Perhaps enough for one step, and perhaps for all of them.
    for hurry in ["35m", "40m", "50m", "80m"] {
        let id = Uuid::new_v4().to_string();
        let reply = placed(&id, &[("grpc-timeout", hurry)]).await?;
        ensure!([OK, DEADLINE_EXCEEDED].contains(&reply.status()), "{hurry}: {reply:?}");
        ids.push(id);
    }
    stage.check_at_rest().await?;
    for id in &ids {
        let again = placed(id, &[]).await?;
        ensure!(again.status() == OK, "{again:?}");
    }
    ensure!(stage.api.balance(user).await? == 1_000 - i64::try_from(ids.len())?);
    Ok(())
}

async fn a_client_that_does_not_wait_at_all_is_told_where_to_look(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    let barrier = Barrier::at_account(stage, user).await?;
    let reply = stage.api.order(user, 90, &[("prefer", "wait=0"), ("idempotency-key", "k")]).await?;
    barrier.lift().await?;
    ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
    ensure!(reply.header("preference-applied") == Some("wait=0"), "{reply:?}");
    ensure!(reply.elapsed < Duration::from_secs(2), "{reply:?}");
    let outcome = stage.api.outcome(Api::order_request("k"), SOON).await?;
    ensure!(outcome.body["status"] == "paid", "{outcome:?}");
    Ok(())
}

/// Makes a call that takes a while, and `meanwhile` others on the same connection. The slow one is answered all the same.
async fn beside_a_slow_call(stage: &Stage, meanwhile: impl AsyncFnOnce(&Raw) -> Outcome) -> Outcome {
    let user = stage.api.create_user_with(10).await?;
    let billing = connect(stage, Service::Billing).await?;
    let barrier = Barrier::at_account(stage, user).await?;
    let slow = withdrawal(user);
    let others = async {
        barrier.holds_up(1).await?;
        meanwhile(&billing).await?;
        barrier.lift().await
    };
    let (slow, others) = tokio::join!(billing.call(WITHDRAW, &[], &slow), others);
    others?;
    let slow = slow?;
    ensure!(slow.status() == OK, "{slow:?}");
    ensure!(stage.api.balance(user).await? == 9);
    Ok(())
}

async fn a_message_past_the_bound_is_refused_and_harms_no_other_call(stage: &mut Stage) -> Outcome {
    let refused = |reply: &Reply| {
        ensure!(reply.status() == RESOURCE_EXHAUSTED, "{reply:?}");
        Ok(())
    };
    let too_long = "x".repeat(65 * 1024);
    beside_a_slow_call(stage, async |billing| {
        let asked = Withdraw { request_id: too_long.clone(), ..Withdraw::default() };
        refused(&billing.call(WITHDRAW, &[], &asked).await?)
    })
    .await?;
    let order = CreateOrder { request_id: too_long.clone(), ..CreateOrder::default() };
    refused(&connect(stage, Service::Order).await?.call(CREATE_ORDER, &[], &order).await?)?;
    let email = SendEmail { message: too_long, ..SendEmail::default() };
    refused(&connect(stage, Service::Notification).await?.call(SEND_EMAIL, &[], &email).await?)
}

async fn headers_past_the_bound_are_refused_and_harm_no_other_call(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let message = GetUser { user_id: user.0 };
    beside_a_slow_call(stage, async |billing| {
        let long = "x".repeat(17 * 1024);
        let reply = billing.call(GET_USER, &[("x-long", &long)], &message).await?;
        ensure!(reply.http == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16(), "{reply:?}");
        let reply = billing.call(GET_USER, &[("x-long", &long[..15 * 1024])], &message).await?;
        ensure!(reply.status() == OK, "{reply:?}");
        Ok(())
    })
    .await
}

/// What a client says goes along with the calls for it; what is too long for a call must not.
async fn long_headers_of_a_client_go_no_further(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    let state: Vec<_> = (0..100).map(|member| format!("vendor{member}={}", "x".repeat(250))).collect();
    let long = "x".repeat(20 * 1024);
    let headers = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", &state.join(",")),
        ("x-request-id", &long),
        ("user-agent", &long),
        ("prefer", "wait=30"),
    ];
    let reply = stage.api.order(user, 90, &headers).await?;
    ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    Ok(())
}

async fn connections_that_age_under_load_fail_no_order(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(1_000_000).await?;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let api = stage.api.clone();
        clients.spawn(async move {
            for _ in 0..ORDERS_EACH {
                let reply = api.order(user, 1, &[("prefer", "wait=30")]).await?;
                ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
            }
            Ok(())
        });
    }
    for client in clients.join_all().await {
        client?;
    }
    let placed = i64::try_from(CLIENTS * ORDERS_EACH)?;
    ensure!(stage.api.balance(user).await? == 1_000_000 - placed);
    let ended = stage.logs()?.matches("a connection to an instance has ended").count();
    ensure!(ended >= ENDED_MIN, "only {ended} connections ended");
    // And none of them is missed afterwards.
    eventually(SOON, async || {
        let ready = stage.api_of(Service::Gateway).get("/ready").await?;
        ensure!(ready.status == StatusCode::OK, "{ready:?}");
        Ok(())
    })
    .await
    .context("after the load")
}
