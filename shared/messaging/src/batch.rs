//! What a consumer has read, sorted, and handled in one transaction; or one by one, if one of them is poison.

use std::collections::HashSet;

use database::chain;
use futures_util::future::{BoxFuture, join_all};
use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;
use sqlx::Connection as _;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::event::{Cause, Event, read};
use crate::handler::{Handler, HandlerError, Known};
use crate::inbox;
use crate::known_topics::KnownTopics;
use crate::message::Incoming as _;
use crate::mistake;
use crate::outbox::{self, Outbox, Said};
use crate::return_address::{AddressError, ReturnAddress};
use crate::trace;

/// Messages about which questions are asked at the same time, before the transaction. A batch in which each takes as long as it
/// may must be done well before `max.poll.interval.ms`, or it would be taken away and begun again by the next member.
const GATHERED_AT_ONCE: usize = 50;

/// A message as it came, and when.
pub(crate) struct Received {
    pub(crate) raw: OwnedMessage,
    at: Instant,
}

impl Received {
    /// Just now.
    pub(crate) fn now(raw: OwnedMessage) -> Self {
        Self { raw, at: Instant::now() }
    }
}

/// A message that is to be handled.
struct Item<'a, H: Handler> {
    raw: &'a OwnedMessage,
    event: Event<H::Incoming>,
    /// Where the reply goes, of a command.
    return_address: Option<ReturnAddress>,
    span: Span,
}

/// An item with what had to be found out.
struct Ready<'a, H: Handler> {
    raw: &'a OwnedMessage,
    known: Known<H::Incoming, H::Fact>,
    /// Open until the effect is committed.
    span: Span,
}

/// A message that can never be handled, and why.
pub(crate) type Poison<'a> = (&'a OwnedMessage, String);

/// Who handles batches, whatever is in them. So a consumer is compiled once, and not again for each handler.
pub(crate) trait Process: Send + Sync {
    /// Has the effects of all `messages` that can be handled; returns the others.
    ///
    /// # Errors
    /// When something is away: none of them, or only some, had their effect, and all may be handled again.
    fn process<'a>(&'a self, messages: &'a [Received]) -> BoxFuture<'a, anyhow::Result<Vec<Poison<'a>>>>;
}

impl<H: Handler> Process for Processor<H> {
    fn process<'a>(&'a self, messages: &'a [Received]) -> BoxFuture<'a, anyhow::Result<Vec<Poison<'a>>>> {
        Box::pin(Batch::sort(self, messages).handle())
    }
}

/// Who handles batches: the part of a consumer that knows nothing of Kafka.
pub(crate) struct Processor<H> {
    /// Names the consumer: its group, its inbox and its dead letters.
    pub(crate) name: &'static str,
    pub(crate) handler: H,
    pub(crate) outbox: Outbox,
    /// Where commands were answered before.
    pub(crate) return_addresses: KnownTopics,
}

impl<H: Handler> Processor<H> {
    /// Where `event` is answered, if it is a command.
    fn return_address(&self, event: &Event<H::Incoming>) -> Result<Option<ReturnAddress>, AddressError> {
        if !event.message.is_answered() {
            return Ok(None);
        }
        let reply_to = event.metadata.reply_to.as_deref();
        ReturnAddress::read(reply_to, &self.outbox.settings, &H::Incoming::topics()).map(Some)
    }
}

/// A batch of one consumer.
struct Batch<'a, H: Handler> {
    processor: &'a Processor<H>,
    items: Vec<Item<'a, H>>,
    poison: Vec<Poison<'a>>,
}

impl<'a, H: Handler> Batch<'a, H> {
    /// Reads `messages`, and leaves out what is meant for others.
    fn sort(processor: &'a Processor<H>, messages: &'a [Received]) -> Self {
        let mut batch = Self { processor, items: Vec::new(), poison: Vec::new() };
        for Received { raw, at } in messages {
            match read(raw, *at) {
                Ok(Some(event)) => match processor.return_address(&event) {
                    Ok(return_address) => {
                        let span = trace::process_span(&event.metadata, raw.topic(), processor.name);
                        batch.items.push(Item { raw, event, return_address, span });
                    }
                    Err(error) => batch.poison.push((raw, error.to_string())),
                },
                Ok(None) => {}
                Err(error) => batch.poison.push((raw, error.to_string())),
            }
        }
        batch
    }

    /// Puts those commands aside whose reply nobody could read.
    async fn only_answerable(mut self) -> anyhow::Result<Self> {
        let addresses = self.items.iter().filter_map(|item| item.return_address.as_ref());
        let addresses: HashSet<String> = addresses.map(|address| address.bare().to_owned()).collect();
        let settings = &self.processor.outbox.settings;
        let missing = self.processor.return_addresses.missing(settings, addresses).await?;
        let is_missing = |item: &mut Item<'a, H>| {
            item.return_address.as_ref().is_some_and(|address| missing.contains(address.bare()))
        };
        for Item { raw, event, .. } in self.items.extract_if(.., is_missing) {
            let address = event.metadata.reply_to.unwrap_or_default();
            self.poison.push((raw, AddressError::Foreign(address).to_string()));
        }
        Ok(self)
    }

    /// As [`Process::process`].
    async fn handle(self) -> anyhow::Result<Vec<Poison<'a>>> {
        let Self { processor, items, mut poison } = self.only_answerable().await?;
        let mut ready: Vec<Ready<'a, H>> = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        loop {
            let some: Vec<Item<'a, H>> = items.by_ref().take(GATHERED_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let asked =
                some.iter().map(|item| processor.handler.gather(&item.event).instrument(item.span.clone()));
            let facts = join_all(asked).await;
            for (Item { raw, event, return_address, span }, fact) in some.into_iter().zip(facts) {
                match fact {
                    Ok(fact) => {
                        let cause = Cause::message(&event.metadata, &span, return_address);
                        ready.push(Ready { raw, known: Known { event, fact, cause }, span });
                    }
                    Err(error) if error.is_transient() => return Err(error.into()),
                    Err(error) => poison.push((raw, chain(&error))),
                }
            }
        }
        fail::fail_point!("messaging::gathered");
        match transact(processor, &ready).await {
            Ok(()) => {}
            Err(error) if error.is_transient() => return Err(error.into()),
            // One by one: in its own transaction the bad one is alone.
            Err(_) => {
                for one in ready.chunks(1) {
                    match transact(processor, one).await {
                        Ok(()) => {}
                        Err(error) if error.is_transient() => return Err(error.into()),
                        Err(error) => poison.push((one[0].raw, chain(&error))),
                    }
                }
            }
        }
        Ok(poison)
    }
}

/// The effects of `ready` and what is to be said about them: in one transaction.
async fn transact<H: Handler>(processor: &Processor<H>, ready: &[Ready<'_, H>]) -> Result<(), H::Error> {
    if ready.is_empty() {
        return Ok(());
    }
    let Processor { name, handler, outbox, .. } = processor;
    trace::link_batch(ready.iter().map(|it| &it.span));
    let mut conn = outbox.pool.acquire().await?;
    let mut tx = conn.begin().await?;
    let ids: Vec<_> = ready.iter().map(|it| it.known.event.metadata.inbox_key()).collect();
    let mut new = if H::INBOX { inbox::claim(&mut tx, name, &ids).await? } else { HashSet::from_iter(ids) };
    // Taken out: a message may be in this batch a second time.
    let batch: Vec<&Ready<'_, H>> =
        ready.iter().filter(|it| new.remove(&it.known.event.metadata.inbox_key())).collect();
    let duplicates = ready.len() - batch.len();
    if duplicates > 0 {
        metrics::counter!("messaging_duplicates_skipped_total", "consumer" => *name)
            .increment(count(duplicates));
    }
    let mut said = Said::default();
    if !batch.is_empty() {
        let mut known: Vec<&Known<_, _>> = batch.iter().map(|it| &it.known).collect();
        if mistake::comes_the_other_way_round() {
            known.reverse();
        }
        handler.handle(&mut tx, &known, &mut said).await?;
    }
    for Ready { known, span, .. } in &batch {
        span.in_scope(|| tracing::debug!(kind = known.event.metadata.kind, "handled"));
    }
    if mistake::is_made("mistake::dual_write") {
        tx.commit().await?;
        fail::fail_point!("mistake::between_the_writes");
        tx = conn.begin().await?;
    }
    outbox::append(&mut tx, said).await?;
    tx.commit().await?;
    conn.give_back();
    outbox.wake();
    handler.committed();
    metrics::counter!("messaging_consumed_total", "consumer" => *name).increment(count(ready.len()));
    Ok(())
}

fn count(messages: usize) -> u64 {
    u64::try_from(messages).unwrap_or(u64::MAX)
}
