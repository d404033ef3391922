//! What a client is told when its wait is over.

use std::time::Duration;

use api::types::CreateOrderRequest;
use api::{ApiError, Prefer};
use axum::extract::FromRequestParts as _;
use domain::{Refusal, RequestId, Settlement};
use futures_util::{StreamExt as _, stream};
use http::{Request, StatusCode};
use orchestration::{Asked, known_order, outcome, settled_after_news, settled_before};
use store::order::Order;
use tokio::time::Instant;
use uuid::Uuid;

use super::world::World;

async fn prefer(header: &str) -> Prefer {
    let (mut parts, ()) = Request::builder().header("prefer", header).body(()).unwrap().into_parts();
    Prefer::from_request_parts(&mut parts, &()).await.unwrap()
}

fn asked_for(order: &Order) -> CreateOrderRequest {
    CreateOrderRequest { user_id: order.user_id, price: order.price }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(250)
}

#[tokio::test]
async fn an_order_that_is_settled_meanwhile_is_seen_while_the_client_waits() {
    let world = World::start().await;
    let order = world.order().await;
    assert_eq!(settled_before(&world.pool, soon(), order.request_id).await, None);
    let wait = settled_before(&world.pool, Instant::now() + Duration::from_secs(20), order.request_id);
    let (seen, ()) = tokio::join!(wait, world.settle(&order, Settlement::Paid));
    assert_eq!(seen.unwrap().settlement(), Some(Settlement::Paid));
    world.stop().await;
}

#[tokio::test]
async fn a_repeat_is_told_what_became_of_the_first() {
    let world = World::start().await;
    let order = world.order().await;
    let known = async |request, asked: &CreateOrderRequest| {
        known_order(&world.pool, request, asked, false, soon()).await
    };
    // No repeat; a repeat with another price; one of an order that is pending; one of an order that is paid.
    assert!(known(RequestId(Uuid::now_v7()), &asked_for(&order)).await.unwrap().is_none());
    let dearer = CreateOrderRequest { price: 91.try_into().unwrap(), ..asked_for(&order) };
    assert!(matches!(known(order.request_id, &dearer).await, Err(ApiError::KeyReused)));
    let pending = known(order.request_id, &asked_for(&order)).await.unwrap().unwrap();
    assert_eq!(pending.settlement(), None);
    world.settle(&order, Settlement::Paid).await;
    let paid = known(order.request_id, &asked_for(&order)).await.unwrap().unwrap();
    assert_eq!(paid.settlement(), Some(Settlement::Paid));
    world.stop().await;
}

#[tokio::test]
async fn who_does_not_want_to_wait_is_answered_at_once() {
    let world = World::start().await;
    let order = world.order().await;
    let began = Instant::now();
    let long = began + Duration::from_secs(30);
    let known = known_order(&world.pool, order.request_id, &asked_for(&order), true, long).await;
    assert_eq!(known.unwrap().unwrap().settlement(), None);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    world.stop().await;
}

#[tokio::test]
async fn an_order_is_answered_by_how_it_ended() {
    let world = World::start().await;
    let prefer = prefer("wait=1").await;
    let pending = world.order().await;
    assert_eq!(outcome(&pending, &prefer).unwrap().status(), StatusCode::ACCEPTED);
    let refused = world.order().await;
    world.settle(&refused, Settlement::Rejected(Refusal::InsufficientFunds)).await;
    let refused = settled_before(&world.pool, soon(), refused.request_id).await.unwrap();
    let problem = outcome(&refused, &prefer).unwrap_err();
    assert!(
        matches!(problem, ApiError::Withdrawal(Refusal::InsufficientFunds, Some(id)) if id == refused.id)
    );
    world.stop().await;
}

#[tokio::test]
async fn a_question_gets_a_second_however_short_the_client_waits() {
    let after = |ms| tokio::time::sleep(Duration::from_millis(ms));
    let now = Instant::now();
    let (quick, slow, patient) = tokio::join!(
        Asked::before(now, after(300)),
        Asked::before(now, after(20_000)),
        Asked::before(now + Duration::from_secs(20), after(1_500)),
    );
    assert!(matches!(quick, Asked::Answered(())));
    assert!(matches!(slow, Asked::TooSlow));
    assert!(matches!(patient, Asked::Answered(())));
    assert!(now.elapsed() < Duration::from_secs(10), "{:?}", now.elapsed());
}

/// News comes before its effect, or not at all.
#[tokio::test]
async fn who_waits_for_news_learns_how_the_order_ended_with_it_and_without() {
    let world = World::start().await;
    let later = Instant::now() + Duration::from_secs(20);
    for news in [Some(()), None] {
        let order = world.order().await;
        let heard = stream::iter(news).chain(stream::pending());
        let waiting = settled_after_news(&world.pool, later, order.id, Box::pin(heard));
        let settling = async {
            tokio::task::yield_now().await;
            world.settle(&order, Settlement::Paid).await;
        };
        assert_eq!(tokio::join!(waiting, settling).0, Some(Settlement::Paid), "{news:?}");
    }
    let pending = world.order().await;
    let in_time = Instant::now() + Duration::from_millis(50);
    let never = settled_after_news(&world.pool, in_time, pending.id, Box::pin(stream::pending::<()>()));
    assert_eq!(never.await, None);
    world.stop().await;
}
