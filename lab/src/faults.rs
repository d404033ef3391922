//! `study torture [<style>]`: random faults, several at a time, while clients go on and money is checked. After every few faults
//! they end, clients pause, and everything must come to rest with every invariant holding.
//!
//! One generator decides which faults come, in which order, and what clients ask for. What then happens between processes is
//! timing, which no seed repeats.

mod arena;
mod book;
mod claims;
mod happen;
mod journal;
mod kinds;
mod load;
mod poison;
mod strike;
mod twice;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::LocalBoxFuture;
use tokio::signal::unix::{SignalKind, signal};

use self::arena::Arena;
use self::book::Book;
use self::load::Load;
use self::strike::{Planned, strike};
use crate::running::CannotStart;
use crate::styles::Style;

/// Faults between two rests.
const BLOCK: usize = 20;
/// How long everything may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(90);

/// Runs `faults` faults against each of `styles`. `false`: something is wrong with one, and was printed; or it was told to
/// stop.
pub fn torture(
    styles: &'static [Style],
    seed: Option<u64>,
    faults: usize,
    logs: Option<PathBuf>,
) -> LocalBoxFuture<'static, anyhow::Result<bool>> {
    Box::pin(async move {
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        for style in styles {
            if !torture_one(style, seed, faults, logs.clone()).await? {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

async fn torture_one(
    style: &'static Style,
    seed: u64,
    faults: usize,
    logs: Option<PathBuf>,
) -> anyhow::Result<bool> {
    println!("torture {} --seed {seed} --faults {faults}", style.name);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let arena = Arena::start(style, logs).await.map_err(|error| CannotStart(format!("{error:#}")))?;
    let arena = Arc::new(arena);
    println!("{}", arena.describe());
    let outcome = tokio::select! {
        outcome = run(&arena, Rng::with_seed(seed), faults) => Some(outcome),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    let clean = match &outcome {
        Some(Ok(found)) if found.is_empty() => true,
        Some(Ok(found)) => report(&arena, seed, faults, found).await,
        Some(Err(error)) => report(&arena, seed, faults, &[format!("{error:#}")]).await,
        None => false,
    };
    arena.end().await;
    Ok(clean)
}

/// Block after block: faults, then rest. Says what is wrong, one text each.
async fn run(arena: &Arc<Arena>, mut dice: Rng, faults: usize) -> anyhow::Result<Vec<String>> {
    // Before anything happens: the plan depends on nothing but the seed.
    let plan: Vec<Planned> = (0..faults).map(|_| Planned::draw(&mut dice, arena)).collect();
    let book = Book::open(&arena.api, &mut dice).await?;
    let mut done = 0;
    for block in plan.chunks(BLOCK) {
        let load = Load::start(arena, &book, &mut dice);
        let found = tokio::select! {
            found = watch::money(arena) => found?,
            outcome = strike(arena, block) => outcome?,
        };
        if !found.is_empty() {
            return Ok(found);
        }
        load.stop().await;
        let found = rest(arena, &book).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        done += block.len();
        arena.journal.note(&format!("at rest after {done} faults, everything holds; {}", book.summary()));
    }
    Ok(Vec::new())
}

/// Waits until everything is at rest. Says what does not hold then.
async fn rest(arena: &Arena, book: &Book) -> anyhow::Result<Vec<String>> {
    arena.heal().await?;
    let violations = arena.checker.at_rest(&arena.api.acknowledged(), REST_MAX).await?;
    Ok(violations.iter().map(ToString::to_string).chain(book.contradictions()).collect())
}

/// Prints what is needed to understand what was found, and to see it again.
async fn report(arena: &Arena, seed: u64, faults: usize, found: &[String]) -> bool {
    let style = arena.style.name;
    println!("\n{style}: {} violations", found.len());
    for what in found {
        println!("  {what}");
    }
    println!("\nthe faults up to here:\n{}", arena.journal.text());
    println!("\nthe last log lines:\n{}", arena.deployment.lock().await.last_words());
    println!(
        "\nrepeat it with: study torture {style} --seed {seed} --faults {faults} (the same faults; timing still varies)"
    );
    false
}
