//! What can never be handled is put aside, alone.

use std::sync::Arc;

use messaging::{ReplaySettings, Replayed, replay_dead_letters};
use rdkafka::Message as _;
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use serde_json::{Value, json};

use crate::foreign::whole;
use crate::notebook::{Fault, Orders};
use crate::wire::{Raw, envelope, header};
use crate::world::{World, eventually, numbers_of, topology};

impl World {
    /// Waits for `count` dead letters, which then are all.
    async fn until_dead_letters(&self, count: usize) -> Vec<OwnedMessage> {
        let topic = self.settings.dead_letter_topic("notes", "reader");
        eventually("the dead letters are there", async || self.everything_in(&topic).await.len() >= count)
            .await;
        let dead = self.everything_in(&topic).await;
        assert_eq!(dead.len(), count, "{dead:?}");
        dead
    }
}

/// A note's headers, one of them left out or said differently.
fn headers_but(name: &str, value: Option<&[u8]>) -> OwnedHeaders {
    let all = envelope("Noted").to_headers();
    let others = all.iter().filter(|header| header.key != name);
    let kept = others.fold(OwnedHeaders::new(), |headers, header| headers.insert(header));
    match value {
        Some(value) => kept.insert(Header { key: name, value: Some(value) }),
        None => kept,
    }
}

/// Messages that can never be handled, and what is said about each.
fn poison() -> Vec<(Raw, &'static str)> {
    let note = || Raw::note("a", 0);
    let with = |headers| Raw { headers: Some(headers), ..note() };
    vec![
        (Raw::of("Noted", "a", "{"), "violates the schema of Noted: EOF"),
        (Raw::of("Noted", "a", r#"{"key": "a"}"#), "missing field `number`"),
        (Raw::of("Noted", "a", r#"{"key": "a", "number": 1.0}"#), "floating point"),
        (Raw::of("Noted", "a", r#"{"key": "a", "number": 9223372036854775808}"#), "invalid value"),
        (Raw::of("Noted", "a", r#"{"key": "a", "number": 1, "more": 1}"#), "unknown field `more`"),
        (Raw::of("Noted", "a", [0xff, 0xfe]), "violates the schema"),
        (Raw::of("Noted", "a", ""), "EOF"),
        (Raw { body: None, ..note() }, "EOF"),
        (Raw { headers: None, ..note() }, "the header ce_type is missing"),
        (Raw { headers: None, key: None, body: None }, "the header ce_type is missing"),
        (with(headers_but("ce_type", None)), "the header ce_type is missing"),
        (with(headers_but("ce_type", Some(b"\xff"))), "the header ce_type cannot be understood"),
        (with(headers_but("ce_id", None)), "the header ce_id is missing"),
        (with(headers_but("ce_id", Some(b""))), "the header ce_id cannot be understood"),
        (with(headers_but("ce_id", Some(b"se\0ven"))), "the header ce_id cannot be understood"),
        (with(headers_but("ce_source", Some(b"\n"))), "the header ce_source cannot be understood"),
        (with(headers_but("ce_time", Some(b"noon"))), "the header ce_time cannot be understood"),
        (with(headers_but("ce_specversion", Some(b"0.3"))), "the header ce_specversion cannot be understood"),
        (with(headers_but("ce_correlationid", None)), "the header ce_correlationid is missing"),
    ]
    .into_iter()
    .chain(poison_in_one_piece())
    .collect()
}

/// What says that it is a whole event, and is none that can be handled.
fn poison_in_one_piece() -> Vec<(Raw, &'static str)> {
    let event = |change: fn(&mut Value)| {
        let mut event = whole("a", 0);
        change(&mut event);
        Raw::in_one_piece("a", &event)
    };
    let said_to_be = |content_type: &[u8]| Raw {
        headers: Some(headers_but("content-type", Some(content_type))),
        ..Raw::note("a", 0)
    };
    let structured = "the content type is application/cloudevents+json, but the value is no such event";
    vec![
        // Its headers are those of a note in binary mode: the content type counts.
        (said_to_be(b"application/cloudevents+json"), "the attribute type is missing"),
        (Raw { body: Some(b"{".to_vec()), ..said_to_be(b"application/cloudevents+json") }, structured),
        (Raw { body: Some(b"[]".to_vec()), ..said_to_be(b"application/cloudevents+json") }, structured),
        (Raw { body: None, ..said_to_be(b"application/cloudevents+json") }, structured),
        (said_to_be(b"application/cloudevents-batch+json"), "only application/cloudevents+json is read"),
        (said_to_be(b"application/cloudevents+avro"), "only application/cloudevents+json is read"),
        (event(|it| it["specversion"] = "0.3".into()), "the attribute specversion cannot be understood"),
        (event(|it| it["id"] = Value::Null), "the attribute id is missing"),
        (event(|it| it["id"] = 7.into()), "the attribute id cannot be understood"),
        (event(|it| it["correlationid"] = Value::Null), "the attribute correlationid is missing"),
        (event(|it| it["time"] = "noon".into()), "the attribute time cannot be understood"),
        (event(|it| it["data"] = json!({"key": "a"})), "missing field `number`"),
        (event(|it| it["data"] = json!([])), "an array instead of an object"),
        (event(|it| drop(it.as_object_mut().unwrap().remove("data"))), "violates the schema of Noted: EOF"),
        (
            event(|it| {
                it.as_object_mut().unwrap().remove("data");
                it["data_base64"] = "?".into();
            }),
            "the attribute data_base64 cannot be understood",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_put_aside_as_it_came_and_its_neighbours_have_their_effect() {
    let world = World::start().await;
    let mut sent = vec![Raw::note("a", 0)];
    for (number, (raw, _)) in (1..).zip(poison()) {
        sent.extend([raw, Raw::note("a", number)]);
    }
    let neighbours = i64::try_from(poison().len()).unwrap() + 1;
    // One partition: a message without a key may be anywhere.
    world.send("notes", Some(1), sent.clone()).await;
    let reader = world.member("one", &Arc::default());
    let effects = world.until_effects(poison().len() + 1).await;
    assert!(numbers_of(&effects, "a").into_iter().eq(0..neighbours));
    let dead = world.until_dead_letters(poison().len()).await;
    reader.stop().await;

    let topic = world.settings.topic("notes");
    for (i, (letter, (_, error))) in dead.iter().zip(poison()).enumerate() {
        let raw = &sent[2 * i + 1];
        assert_eq!((letter.key(), letter.payload()), (raw.key.as_deref(), raw.body.as_deref()), "{error}");
        let said = header(letter, "dead_letter_error").unwrap();
        assert!(said.contains(error), "{said}, not {error}");
        assert_eq!(header(letter, "dead_letter_topic").as_ref(), Some(&topic));
        assert_eq!(header(letter, "dead_letter_partition").as_deref(), Some("1"));
        assert_eq!(header(letter, "dead_letter_offset"), Some((2 * i + 1).to_string()));
        let own = raw.headers.clone().unwrap_or_default();
        assert!(own.iter().eq(letter.headers().unwrap().iter().take(own.count())), "{error}");
        assert_eq!(letter.headers().unwrap().count(), own.count() + 4);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_can_never_be_handled_is_put_aside_and_takes_back_only_its_own_effect() {
    for fault in [Fault::Permanent, Fault::PermanentBefore] {
        let world = World::start().await;
        let orders = Arc::new(Orders::default());
        orders.set(2, fault);
        orders.set(4, fault);
        world.send("notes", None, (0..6).map(|number| Raw::note("a", number)).collect()).await;
        let reader = world.member("one", &orders);
        assert_eq!(numbers_of(&world.until_effects(4).await, "a"), [0, 1, 3, 5]);
        let dead = world.until_dead_letters(2).await;
        assert_eq!(header(&dead[0], "dead_letter_error"), Some(format!("the fault {fault:?}")));
        reader.stop().await;

        // They are done with: nobody meets them again.
        let reader = world.member("two", &Arc::default());
        world.send("notes", None, vec![Raw::note("a", 6)]).await;
        assert_eq!(numbers_of(&world.until_effects(5).await, "a"), [0, 1, 3, 5, 6]);
        reader.stop().await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_kafka_would_refuse_makes_the_note_a_dead_letter() {
    // The handler answers under the note's key.
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.answer.store(true, std::sync::atomic::Ordering::SeqCst);
    let large = Raw { key: Some(b"a".to_vec()), ..Raw::note(&"x".repeat(920_000), 1) };
    world.send("notes", None, vec![Raw::note("a", 0), large, Raw::note("a", 2)]).await;
    let reader = world.member("one", &orders);
    assert_eq!(numbers_of(&world.until_effects(2).await, "a"), [0, 2]);
    let dead = world.until_dead_letters(1).await;
    let error = header(&dead[0], "dead_letter_error").unwrap();
    assert!(error.contains("Answered is too large"), "{error}");
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_that_is_too_large_with_the_headers_of_a_dead_letter_is_put_aside_without_its_body() {
    let world = World::start().await;
    let large = Raw::of("Noted", "a", vec![b'x'; 1_040_000]);
    world.send("notes", None, vec![Raw::note("a", 0), large, Raw::note("a", 2)]).await;
    let reader = world.member("one", &Arc::default());
    assert_eq!(numbers_of(&world.until_effects(2).await, "a"), [0, 2]);
    let dead = world.until_dead_letters(1).await;
    assert_eq!((dead[0].key(), dead[0].payload()), (Some(&b"a"[..]), None));
    assert_eq!(header(&dead[0], "dead_letter_offset").as_deref(), Some("1"));
    assert_eq!(header(&dead[0], "dead_letter_body_bytes").as_deref(), Some("1040000"));
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_whose_key_alone_is_too_large_is_put_aside_as_what_is_known_about_it() {
    let world = World::start().await;
    let large = Raw { key: Some(vec![b'x'; 1_040_000]), ..Raw::of("Noted", "a", "?") };
    world.send("notes", None, vec![large, Raw::note("a", 1)]).await;
    let reader = world.member("one", &Arc::default());
    assert_eq!(numbers_of(&world.until_effects(1).await, "a"), [1]);
    let dead = world.until_dead_letters(1).await;
    assert_eq!((dead[0].key(), dead[0].payload()), (None, None));
    assert_eq!(header(&dead[0], "dead_letter_topic"), Some(world.settings.topic("notes")));
    assert_eq!(header(&dead[0], "dead_letter_body_bytes").as_deref(), Some("1"));
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_sent_again_once_their_cause_is_mended_and_only_the_new_ones_the_next_time() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.set(1, Fault::Permanent);
    world.send("notes", None, (0..3).map(|number| Raw::note("a", number)).collect()).await;
    let reader = world.member("one", &orders);
    assert_eq!(numbers_of(&world.until_effects(2).await, "a"), [0, 2]);
    world.until_dead_letters(1).await;
    let topic = "notes.reader.dlt".to_owned();
    let replay = ReplaySettings { kafka: world.settings.clone(), topic };
    let all_sent = |sent| Replayed { sent, bodiless: 0 };

    // Too early: it is put aside again, as a letter like the first.
    assert_eq!(replay_dead_letters(&replay, &topology()).await.unwrap(), all_sent(1));
    let dead = world.until_dead_letters(2).await;
    assert_eq!(header(&dead[1], "dead_letter_offset").as_deref(), Some("3"));
    assert_eq!(dead[0].headers().unwrap().count(), dead[1].headers().unwrap().count());

    orders.clear();
    assert_eq!(replay_dead_letters(&replay, &topology()).await.unwrap(), all_sent(1));
    assert_eq!(numbers_of(&world.until_effects(3).await, "a"), [0, 2, 1]);
    assert_eq!(replay_dead_letters(&replay, &topology()).await.unwrap(), all_sent(0));

    let other = ReplaySettings { topic: "answers.reader.dlt".to_owned(), ..replay };
    let error = replay_dead_letters(&other, &topology()).await.unwrap_err();
    assert!(error.to_string().contains("notes.reader.dlt"), "{error}");
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_has_no_body_or_was_never_in_a_topic_of_the_style_is_counted_and_not_sent() {
    let world = World::start().await;
    let reader = world.member("one", &Arc::default());
    world.send("notes", None, vec![Raw::of("Noted", "a", vec![b'x'; 1_040_000])]).await;
    world.until_dead_letters(1).await;
    let foreign = world.settings.topic("elsewhere");
    let was_in = Header { key: "dead_letter_topic", value: Some(&foreign) };
    let stray = Raw { headers: Some(envelope("Noted").to_headers().insert(was_in)), ..Raw::note("a", 1) };
    world.send("notes.reader.dlt", None, vec![stray]).await;
    let replay = ReplaySettings { kafka: world.settings.clone(), topic: "notes.reader.dlt".to_owned() };
    let replayed = replay_dead_letters(&replay, &topology()).await.unwrap();
    assert_eq!(replayed, Replayed { sent: 0, bodiless: 2 });
    // They are done with, too.
    let replayed = replay_dead_letters(&replay, &topology()).await.unwrap();
    assert_eq!(replayed, Replayed::default());
    assert_eq!((world.count_in("notes").await, world.effects().await.len()), (1, 0));
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_message_is_told_in_a_thousand_bytes_and_the_message_stays_whole() {
    let world = World::start().await;
    for shift in ["", "x"] {
        let body = format!("{{\"{shift}{}\": 1}}", "\u{fc}".repeat(2000));
        world.send("notes", Some(0), vec![Raw::of("Noted", "a", body)]).await;
    }
    let reader = world.member("one", &Arc::default());
    let dead = world.until_dead_letters(2).await;
    for letter in &dead {
        let error = header(letter, "dead_letter_error").unwrap();
        // Cut between two characters: one of the two would otherwise end in the middle of one.
        assert!((999..=1000).contains(&error.len()) && error.ends_with('\u{fc}'), "{error}");
        assert!(letter.payload().unwrap().len() > 4000);
    }
    reader.stop().await;
    world.stop().await;
}
