//! Messages that are deleted before they are read. Brokers delete what is older than a topic's retention. Here a real broker is told
//! to delete; the in-memory broker keeps the last 5 MiB of a partition, so it is given more than that.

use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use messaging::Outcomes;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::consumer::metrics;
use crate::notebook::{Answers, Fault, Orders};
use crate::wire::{Raw, envelope};
use crate::world::{DEADLINE, World, eventually, numbers_of};

/// The partition in which everything happens.
const PARTITION: i32 = 0;
/// More than the in-memory broker keeps, in messages of half a megabyte.
const TOO_MANY: usize = 12;

/// What this process has logged, from WARN up.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A world whose clients tell about themselves often, and what they say is kept.
async fn observed() -> World {
    metrics().await;
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false);
    // Fails when another test has done it.
    let _ = log.with_writer(|| Log).try_init();
    let mut world = World::start().await;
    world.settings.kafka_statistics_ms = 100;
    world
}

impl World {
    /// Deletes what is in the partition before offset `before`, or more than that.
    async fn delete(&self, topic: &str, before: i64) {
        if self.kafka.is_in_memory() {
            return self.send(topic, Some(PARTITION), filling(TOO_MANY)).await;
        }
        let admin: AdminClient<DefaultClientContext> = self.wire().create().unwrap();
        let mut list = TopicPartitionList::new();
        let topic = self.settings.topic(topic);
        list.add_partition_offset(&topic, PARTITION, Offset::Offset(before)).unwrap();
        let deleted = admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
        assert_eq!(deleted.elements()[0].offset(), Offset::Offset(before), "{deleted:?}");
    }

    /// Where the partition begins.
    async fn beginning(&self, topic: &str) -> i64 {
        let (config, topic) = (self.wire(), self.settings.topic(topic));
        let ask = move || {
            let client: BaseConsumer = config.create().unwrap();
            client.fetch_watermarks(&topic, PARTITION, Duration::from_secs(20)).unwrap().0
        };
        spawn_blocking(ask).await.unwrap()
    }

    async fn send_notes(&self, numbers: std::ops::Range<i64>) {
        self.send("notes", Some(PARTITION), numbers.map(|number| Raw::note("a", number)).collect()).await;
    }

    /// The notes that had their effect, when that of `last` is there.
    async fn noted_up_to(&self, last: i64) -> Vec<i64> {
        eventually("the last has its effect", async || {
            numbers_of(&self.effects().await, "a").last() == Some(&last)
        })
        .await;
        numbers_of(&self.effects().await, "a")
    }

    /// What this metric says about a consumer of `topic`.
    async fn metric(&self, name: &str, consumer: &str, topic: &str) -> Option<f64> {
        let topic = self.settings.topic(topic);
        let begin = format!("{name}{{consumer=\"{consumer}\",topic=\"{topic}\"}} ");
        let metrics = metrics().await.render();
        metrics.lines().find_map(|line| line.strip_prefix(&begin)?.parse().ok())
    }

    /// Waits until the offsets from `from` up to before `to` are counted as skipped, and are in the log.
    async fn until_told(&self, from: i64, to: i64) {
        let count = to - from;
        eventually("it is counted", async || {
            let counted = self.metric("messaging_offsets_skipped_total", "reader", "notes").await;
            counted.is_some_and(|counted| counted > 0.0)
        })
        .await;
        #[allow(clippy::cast_precision_loss, reason = "a few")]
        let expected = Some(count as f64);
        assert_eq!(self.metric("messaging_offsets_skipped_total", "reader", "notes").await, expected);
        let topic = self.settings.topic("notes");
        let line = format!("topic=\"{topic}\" partition={PARTITION} from={from} to={to} count={count}");
        let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&line_of(&topic))).collect();
        assert!(lines.len() == 1 && lines[0].contains("WARN") && lines[0].contains(&line), "{lines:?}");
    }
}

/// Large messages that nobody reads.
fn filling(count: usize) -> Vec<Raw> {
    (0..count).map(|_| Raw::of("Whispered", "filling", vec![b' '; 500_000])).collect()
}

/// What a line about messages of this topic that were deleted has in it.
fn line_of(topic: &str) -> String {
    format!("messages were deleted before they were read consumer=\"reader\" topic=\"{topic}\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_nobody_reads_is_counted_when_somebody_does() {
    let world = observed().await;
    world.send_notes(0..10).await;
    let reader = world.member("one", &Arc::default());
    world.noted_up_to(9).await;
    reader.stop().await;
    world.send_notes(10..20).await;
    world.delete("notes", 15).await;
    world.send_notes(100..101).await;
    let beginning = world.beginning("notes").await;
    assert!(beginning >= 15, "{beginning}");

    let reader = world.member("one", &Arc::default());
    let noted = world.noted_up_to(100).await;
    assert!(noted.into_iter().eq((0..10).chain(beginning.min(20)..20).chain([100])));
    world.until_told(10, beginning).await;
    reader.stop().await;

    // Once, whoever reads on.
    let reader = world.member("two", &Arc::default());
    world.send_notes(101..102).await;
    world.noted_up_to(101).await;
    reader.stop().await;
    world.until_told(10, beginning).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_a_member_stands_still_is_counted_when_it_goes_on() {
    let world = observed().await;
    let orders = Arc::new(Orders::default());
    orders.set(12, Fault::Transient);
    world.send_notes(0..15).await;
    let reader = world.member("one", &orders);
    eventually("it stands still", async || orders.refused() > 2).await;
    world.send_notes(15..20).await;
    world.delete("notes", 18).await;
    world.send_notes(100..101).await;
    let beginning = world.beginning("notes").await;
    assert!(beginning >= 18, "{beginning}");
    orders.clear();
    let noted = world.noted_up_to(100).await;
    // Also those that were deleted when it had them.
    assert!(noted.into_iter().eq((0..15).chain(beginning.min(20)..20).chain([100])));
    world.until_told(15, beginning).await;
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_emptied_by_a_real_broker_has_no_lag_and_what_was_in_it_is_counted() {
    let world = observed().await;
    // It never deletes the last message of a partition.
    if world.kafka.is_in_memory() {
        return world.stop().await;
    }
    world.send_notes(0..10).await;
    let reader = world.member("one", &Arc::default());
    world.noted_up_to(9).await;
    reader.stop().await;
    world.send_notes(10..20).await;
    world.delete("notes", 20).await;
    let reader = world.member("one", &Arc::default());
    world.until_told(10, 20).await;
    // Lag is told before what was skipped.
    assert_eq!(world.metric("messaging_consumer_lag", "reader", "notes").await, Some(0.0));
    world.send_notes(20..21).await;
    assert!(world.noted_up_to(20).await.into_iter().eq((0..10).chain([20])));
    world.until_told(10, 20).await;
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_that_stood_still_did_not_read_is_counted_and_it_reads_on() {
    let world = observed().await;
    let outcomes: Arc<Outcomes<Answers>> = Outcomes::new();
    // Of its own, so that it can be stopped.
    let gateway = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    gateway.spawn(Arc::clone(&outcomes).read(world.settings.clone(), CancellationToken::new()));
    eventually("it reads", async || outcomes.is_reading()).await;
    let metadata = envelope("Answered");
    let mut waiting = outcomes.wait_for(metadata.correlation_id);
    let answer = || Raw::of("Answered", "a", "{\"number\": 1}").with(&metadata);
    world.send("answers", Some(PARTITION), vec![answer()]).await;
    timeout(DEADLINE, waiting.next()).await.expect("an answer");

    let (go_on, until) = mpsc::channel::<()>();
    gateway.spawn(async move { until.recv() });
    // More than its client takes in advance.
    world.send("answers", Some(PARTITION), filling(3 * TOO_MANY)).await;
    world.delete("answers", i64::try_from(3 * TOO_MANY).unwrap()).await;
    drop(go_on);
    eventually("it is counted", async || {
        let counted = world.metric("messaging_offsets_skipped_total", "none", "answers").await;
        counted.is_some_and(|counted| counted > 0.0)
    })
    .await;
    // It goes on at the end, wherever that is when it looks.
    eventually("it reads on", async || {
        world.send("answers", Some(PARTITION), vec![answer()]).await;
        timeout(Duration::from_millis(500), waiting.next()).await.is_ok()
    })
    .await;
    gateway.shutdown_background();
    world.stop().await;
}
