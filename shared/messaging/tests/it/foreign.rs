//! Events of foreign producers: any valid `CloudEvent` that has a correlation id is read, in both of the modes of Kafka's binding,
//! and has its effect once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use messaging::{Outcomes, Replay};
use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use crate::notebook::{Answers, KeptNotes, Orders};
use crate::wire::{Raw, header};
use crate::world::{DEADLINE, Worker, World, eventually, numbers_of};

/// A note as an event in one piece.
pub fn whole(key: &str, number: i64) -> Value {
    event("Noted", &Uuid::new_v4().to_string(), &json!({"key": key, "number": number}))
}

/// The least that an event has.
fn event(kind: &str, id: &str, data: &Value) -> Value {
    let correlation_id = Uuid::now_v7();
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "urn:shop",
        "type": kind,
        "correlationid": correlation_id,
        "data": data
    })
}

impl Raw {
    /// `event` in structured mode.
    pub fn in_one_piece(key: &str, event: &Value) -> Self {
        let content_type =
            Header { key: "content-type", value: Some("application/cloudevents+json; charset=UTF-8") };
        Self {
            key: Some(key.as_bytes().to_vec()),
            headers: Some(OwnedHeaders::new().insert(content_type)),
            body: Some(event.to_string().into_bytes()),
        }
    }

    /// The same in binary mode, with names of headers as somebody else writes them.
    fn in_parts(key: &str, event: &Value) -> Self {
        let members = event.as_object().unwrap().iter().filter(|(name, _)| *name != "data");
        let headers = members.fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header { key: &format!("CE_{name}"), value: value.as_str() })
        });
        let headers =
            headers.insert(Header { key: "Content-Type", value: Some("application/json; charset=utf-8") });
        Self {
            headers: Some(headers),
            body: Some(event["data"].to_string().into_bytes()),
            key: Some(key.into()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_its_effect_once_whatever_its_id_is_and_whichever_mode_it_comes_in() {
    let world = World::start().await;
    let note = |id: &str, number: i64| event("Noted", id, &json!({"key": "a", "number": number}));
    let (first, second) = (note("1", 1), note("\u{43a}\u{43b}\u{44e}\u{447} 2", 2));
    let mut elsewhere = note("1", 3);
    elsewhere["source"] = "urn:elsewhere".into();
    let mut encoded = note("4", 4);
    encoded.as_object_mut().unwrap().remove("data");
    encoded["data_base64"] = "eyJrZXkiOiAiYSIsICJudW1iZXIiOiA0fQ==".into();
    let sent = [
        Raw::in_parts("a", &first),
        Raw::in_one_piece("a", &second),
        // Come again: the mode is no part of what an event is.
        Raw::in_one_piece("a", &first),
        Raw::in_parts("a", &second),
        // The same id of another source is another event.
        Raw::in_parts("a", &elsewhere),
        Raw::in_one_piece("a", &encoded),
    ];
    world.send("notes", None, sent.to_vec()).await;
    let reader = world.member("one", &Arc::default());
    assert_eq!(numbers_of(&world.until_effects(4).await, "a"), [1, 2, 3, 4]);
    // In another batch.
    world.send("notes", None, [&sent[..], &[Raw::note("a", 5)]].concat()).await;
    assert_eq!(numbers_of(&world.until_effects(5).await, "a"), [1, 2, 3, 4, 5]);
    reader.stop().await;
    let dead = world.everything_in(&world.settings.dead_letter_topic("notes", "reader")).await;
    assert!(dead.is_empty(), "{dead:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_names_the_event_as_its_producer_does() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.answer.store(true, Ordering::SeqCst);
    let ids = ["7", "01890A5D-AC96-774B-BCCE-B302099A8057", "01890a5d-ac96-774b-bcce-b302099a8057"];
    let asked = ids.map(|id| event("Noted", id, &json!({"key": "a", "number": 1})));
    world.send("notes", None, asked.iter().map(|event| Raw::in_one_piece("a", event)).collect()).await;
    let reader = world.member("one", &orders);
    world.until_effects(3).await;
    let relay = Worker::relay(world.outbox());
    world.until_outbox_is_empty().await;
    let answers = world.everything_in(&world.settings.topic("answers")).await;
    assert_eq!(answers.len(), 3);
    for (answer, asked) in answers.iter().zip(&asked) {
        assert_eq!(header(answer, "ce_causationid").as_deref(), asked["id"].as_str());
        assert_eq!(header(answer, "ce_correlationid").as_deref(), asked["correlationid"].as_str());
    }
    reader.stop().await;
    relay.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_id_is_too_long_to_be_named_in_an_answer_is_put_aside_and_holds_up_nobody() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.answer.store(true, Ordering::SeqCst);
    let note = |id: &str, number: i64| {
        Raw::in_one_piece("a", &event("Noted", id, &json!({"key": "a", "number": number})))
    };
    world.send("notes", None, vec![note(&"7".repeat(920_000), 1), note("8", 2)]).await;
    let reader = world.member("one", &orders);
    assert_eq!(numbers_of(&world.until_effects(1).await, "a"), [2]);
    let dead = world.settings.dead_letter_topic("notes", "reader");
    eventually("it is put aside", async || world.everything_in(&dead).await.len() == 1).await;
    let relay = Worker::relay(world.outbox());
    world.until_outbox_is_empty().await;
    reader.stop().await;
    relay.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_answer_or_reads_a_topic_again_reads_events_in_one_piece_too() {
    let world = World::start().await;
    let outcomes: Arc<Outcomes<Answers>> = Outcomes::new();
    let reading = Worker::run(|shutdown| Arc::clone(&outcomes).read(world.settings.clone(), shutdown));
    eventually("it reads", async || outcomes.is_reading()).await;
    let answer = event("Answered", "7", &json!({"number": 1}));
    let mut waiting = outcomes.wait_for(answer["correlationid"].as_str().unwrap().parse().unwrap());
    world.send("answers", None, vec![Raw::in_one_piece("a", &answer)]).await;
    let Answers::Answered(answered) = timeout(DEADLINE, waiting.next()).await.expect("an answer").message;
    assert_eq!(answered.number, 1);
    reading.stop().await;

    let kept = event("Kept", "8", &json!({"key": "a", "number": 2}));
    world.send("kept", None, vec![Raw::in_one_piece("a", &kept), Raw::in_parts("a", &kept)]).await;
    let mut numbers = Vec::new();
    let mut replay = Replay::from_beginning(&world.settings, "kept").unwrap();
    let note = |event: messaging::Event<KeptNotes>| {
        let KeptNotes::Kept(kept) = event.message;
        numbers.push(kept.number);
    };
    replay.up_to_now(note).await.unwrap();
    assert_eq!(numbers, [2, 2]);
    world.stop().await;
}
