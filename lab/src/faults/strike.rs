//! Makes faults as they were planned: each when its time has come and what it needs is free.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::arena::Arena;
use super::claims::Resource;
use super::kinds::{Fault, ms};

/// A fault, and how long after the last one it begins.
pub(super) struct Planned {
    after: Duration,
    fault: Fault,
}

impl Planned {
    pub(super) fn draw(dice: &mut Rng, arena: &Arena) -> Self {
        Self { after: ms(dice, 100, 1500), fault: Fault::draw(dice, arena.style) }
    }
}

/// Makes `block`, and waits until all of it is over. Says what was wrong between two faults.
pub(super) async fn strike(arena: &Arc<Arena>, block: &[Planned]) -> anyhow::Result<Vec<String>> {
    let mut active = JoinSet::new();
    for Planned { after, fault } in block {
        sleep(*after).await;
        let claim = arena.claims.take(&fault.resources()).await;
        let found = between(arena).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        let (arena, fault) = (Arc::clone(arena), fault.clone());
        active.spawn(async move {
            let outcome = happen(&arena, &fault).await;
            drop(claim);
            outcome
        });
        // The first that cannot be healed ends the run.
        while let Some(over) = active.try_join_next() {
            over??;
        }
    }
    while let Some(over) = active.join_next().await {
        over??;
    }
    Ok(Vec::new())
}

/// Looks at the money, unless nobody can.
async fn between(arena: &Arena) -> anyhow::Result<Vec<String>> {
    if arena.claims.is_taken(Resource::Database) {
        return Ok(Vec::new());
    }
    let found = arena.always().await.context("looking at the money between two faults")?;
    Ok(found.iter().map(ToString::to_string).collect())
}

async fn happen(arena: &Arena, fault: &Fault) -> anyhow::Result<()> {
    let number = arena.journal.begin(&fault.to_string());
    let outcome = fault.happen(arena).await;
    let remark = outcome.as_ref().map_or_else(|error| format!(": {error:#}"), Clone::clone);
    arena.journal.end(number, &remark);
    outcome.map(drop)
}
