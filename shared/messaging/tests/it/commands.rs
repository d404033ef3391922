//! Commands and replies: a command is answered where it says, and one that says it wrong is not begun.

use messaging::{Cause, Consumer, Handler, Known, Metadata, Outgoing, Said};
use rdkafka::message::OwnedMessage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::notebook::Failure;
use crate::wire::{Raw, envelope, header};
use crate::world::{Worker, World, eventually};

/// Something is to be done.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DoIt {
    number: i64,
}

/// The same, and nobody wants to know.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DoItQuietly {
    number: i64,
}

/// It is done.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    number: i64,
}

messaging::messages! {
    "commands": DoIt -> Done, DoItQuietly;
    "answers": Done;
}

messaging::consumes! {
    /// What a participant does.
    pub enum Commands of TYPES; { DoIt, DoItQuietly }
}

/// A participant, which knows nobody.
struct Participant;

impl Handler for Participant {
    type Incoming = Commands;
    type Fact = ();
    type Error = Failure;

    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Commands, ()>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        for Known { event, cause, .. } in batch {
            let (Commands::DoIt(DoIt { number }) | Commands::DoItQuietly(DoItQuietly { number })) =
                event.message;
            sqlx::query("insert into effects (key, number, event_id, member) values ('a', $1, $2, 'one')")
                .bind(number)
                .bind(event.metadata.inbox_key())
                .execute(&mut *tx)
                .await?;
            // A reply that asks for one, as a careless participant might make it.
            said.reply(cause, Outgoing::new("a", "it/1", &Done { number }).answered_on("commands"));
        }
        Ok(())
    }
}

impl World {
    /// A participant at work, with its relay.
    fn participant(&self) -> [Worker; 2] {
        let outbox = self.outbox();
        let consumer = Consumer::new("participant", Participant, outbox.clone()).unwrap();
        [Worker::run(|shutdown| consumer.run(shutdown)), Worker::relay(outbox)]
    }

    /// The first `count` messages of a topic, which then are all.
    async fn until_messages(&self, topic: &str, count: usize) -> Vec<OwnedMessage> {
        let topic = self.settings.topic(topic);
        eventually("the messages are there", async || self.everything_in(&topic).await.len() >= count).await;
        let all = self.everything_in(&topic).await;
        assert_eq!(all.len(), count, "{all:?}");
        all
    }
}

/// A command of somebody else, with the return address `reply_to`.
fn do_it(number: i64, reply_to: Option<String>) -> (Metadata, Raw) {
    let metadata = Metadata { reply_to, ..envelope("DoIt") };
    let raw = Raw::of("DoIt", "a", format!(r#"{{"number": {number}}}"#)).with(&metadata);
    (metadata, raw)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_where_it_says_and_its_reply_names_it_and_asks_for_none() {
    let world = World::start().await;
    let [consumer, relay] = world.participant();
    // One of ours, by an outbox of its own ...
    let asker = world.outbox();
    let cause = Cause::request(Uuid::now_v7());
    let command = Outgoing::new("a", "it/1", &DoIt { number: 1 }).answered_on("answers");
    let mut conn = asker.pool().acquire().await.unwrap();
    asker.append(&mut conn, &cause, vec![command]).await.unwrap();
    // ... and one of somebody else's, who listens elsewhere.
    let (foreign, raw) = do_it(2, Some(world.settings.topic("kept")));
    world.send("commands", None, vec![raw]).await;

    let commands = world.until_messages("commands", 2).await;
    let id = |message: &OwnedMessage| header(message, "ce_id").unwrap();
    let own = commands.iter().find(|it| id(it) != foreign.id).unwrap();
    assert_eq!(header(own, "ce_replyto"), Some(world.settings.topic("answers")));
    for (topic, correlation_id, command_id) in
        [("answers", cause.correlation_id, id(own)), ("kept", foreign.correlation_id, foreign.id.clone())]
    {
        let [reply] = &world.until_messages(topic, 1).await[..] else { panic!("one reply") };
        assert_eq!(header(reply, "ce_type").as_deref(), Some("Done"));
        assert_eq!(header(reply, "ce_correlationid"), Some(correlation_id.to_string()));
        assert_eq!(header(reply, "ce_causationid"), Some(command_id));
        assert_eq!(header(reply, "ce_replyto"), None, "a reply to a reply to a reply ...");
    }
    consumer.stop().await;
    relay.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_answered_is_put_aside_and_not_begun() {
    let world = World::start().await;
    let [consumer, relay] = world.participant();
    let topic = |bare| world.settings.topic(bare);
    let poison = [
        (None, "the return address is missing"),
        (Some(String::new()), "the return address is missing"),
        (Some("answers".to_owned()), "the return address answers is no topic of this installation"),
        (Some("another.answers".to_owned()), "is no topic of this installation"),
        (Some(topic("nowhere")), "is no topic of this installation"),
        (Some(topic("no where")), "is no topic of this installation"),
        (Some(topic("commands")), "its reply would come back"),
    ];
    let count = poison.len();
    let mut sent = vec![do_it(0, Some(topic("answers"))).1];
    for (number, (address, _)) in (1..).zip(&poison) {
        sent.push(do_it(-number, address.clone()).1);
        sent.push(do_it(number, Some(topic("answers"))).1);
    }
    world.send("commands", Some(1), sent).await;
    let effects = world.until_effects(count + 1).await;
    assert!(effects.iter().all(|(_, number)| *number >= 0), "{effects:?}");
    world.until_messages("answers", count + 1).await;
    let dead = world.until_messages("commands.participant.dlt", count).await;
    for (address, why) in poison {
        let found = dead.iter().filter(|letter| header(letter, "ce_replyto") == address);
        let said: Vec<String> = found.map(|letter| header(letter, "dead_letter_error").unwrap()).collect();
        assert!(said.len() == 1 && said[0].contains(why), "{address:?}: {said:?}");
    }
    consumer.stop().await;
    relay.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_nobody_answers_needs_no_address_and_gets_no_reply() {
    let world = World::start().await;
    let [consumer, relay] = world.participant();
    let quietly = Raw::of("DoItQuietly", "a", r#"{"number": 1}"#);
    let (_, aloud) = do_it(2, Some(world.settings.topic("answers")));
    world.send("commands", Some(0), vec![quietly, aloud]).await;
    world.until_effects(2).await;
    let [reply] = &world.until_messages("answers", 1).await[..] else { panic!("one reply") };
    assert_eq!(rdkafka::Message::payload(reply), Some(&br#"{"number":2}"#[..]));
    consumer.stop().await;
    relay.stop().await;
    world.stop().await;
}
