//! The steps that the order service takes alone: an order begins, and is settled.

use std::time::Duration;

use api::ApiError;
use api::types::CreateOrderRequest;
use domain::{OrderStatus, Refusal, RequestId, Settlement, UserId};
use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::world::{Trouble, World, eventually};

fn asked() -> CreateOrderRequest {
    CreateOrderRequest { user_id: UserId(1), price: 90.try_into().unwrap() }
}

#[tokio::test]
async fn an_order_that_begins_is_stored_and_listed_before_it_is_finished_by_a_task_of_its_own() {
    let world = World::start().await;
    let unfinished = world.unfinished(3_600_000);
    let request = RequestId(Uuid::now_v7());
    let (release, released) = oneshot::channel::<()>();
    let begun = unfinished.begin(request, asked(), |order| async move {
        released.await.unwrap();
        Ok::<_, Trouble>(order)
    });
    let finishing = begun.await.unwrap();
    let (&listed, &(due_s, _)) = world.list().await.iter().next().unwrap();
    assert!((3_500.0..=3_600.0).contains(&due_s), "due in {due_s} s");
    release.send(()).unwrap();
    let order = finishing.await.unwrap().unwrap();
    assert_eq!((order.id, order.request_id, order.status), (listed, request, OrderStatus::Pending));
    assert_eq!((order.user_id, order.price), (asked().user_id, asked().price));
    world.stop().await;
}

#[tokio::test]
async fn a_repeat_joins_in_and_what_is_settled_is_not_listed_again() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    let request = RequestId(Uuid::now_v7());
    let begin =
        async |asked| unfinished.begin(request, asked, |order| async { Ok::<_, Trouble>(order) }).await;
    let first = begin(asked()).await.unwrap().await.unwrap().unwrap();
    let repeated = begin(asked()).await.unwrap().await.unwrap().unwrap();
    assert_eq!(repeated, first);
    assert_eq!(world.list().await.len(), 1);
    let dearer = CreateOrderRequest { price: 91.try_into().unwrap(), ..asked() };
    assert!(matches!(begin(dearer).await, Err(ApiError::KeyReused)));

    unfinished.settle(first.clone(), Settlement::Paid).await.unwrap();
    world.strike_off(first.id).await;
    let paid = begin(asked()).await.unwrap().await.unwrap().unwrap();
    assert_eq!((paid.id, paid.settlement()), (first.id, Some(Settlement::Paid)));
    assert!(world.list().await.is_empty());
    world.stop().await;
}

/// What is stored is finished at once: the next to look after it would be recovery, which has an hour here.
#[tokio::test]
async fn an_order_whose_client_hangs_up_while_it_is_stored_is_finished() {
    let world = World::start().await;
    let unfinished = world.unfinished(3_600_000);
    let (finished, mut told) = oneshot::channel();
    let begun = unfinished.begin(RequestId(Uuid::now_v7()), asked(), |order| async move {
        finished.send(order.id).unwrap();
        Ok::<_, Trouble>(order)
    });
    // Asked once, and dropped.
    assert!(begun.now_or_never().is_none());
    let id = eventually("it is finished", async || told.try_recv().ok()).await;
    assert!(world.list().await.contains_key(&id));
    world.stop().await;
}

#[tokio::test]
async fn a_step_that_fails_says_so_to_who_waits_and_leaves_the_order_on_the_list() {
    let world = World::start().await;
    let unfinished = world.unfinished(3_600_000);
    let begun =
        unfinished.begin(RequestId(Uuid::now_v7()), asked(), |_| async { Err::<(), _>(Trouble::PeerAway) });
    let outcome = tokio::time::timeout(Duration::from_secs(10), begun.await.unwrap()).await.unwrap();
    assert_eq!(outcome.unwrap(), Err(Trouble::PeerAway));
    assert_eq!(world.list().await.len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn an_order_is_settled_once_and_whoever_comes_later_is_told_how() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    let order = world.listed(&unfinished).await;
    let rejected = Settlement::Rejected(Refusal::InsufficientFunds);
    let first = unfinished.settle(order.clone(), rejected).await.unwrap();
    assert_eq!((first.id, first.settlement()), (order.id, Some(rejected)));
    let second = unfinished.settle(order, Settlement::Paid).await.unwrap();
    assert_eq!(second, first);
    world.stop().await;
}
