//! What the services take of the machine's memory.

use std::collections::BTreeMap;

use lab::running::Deployment;
use lab::running::scrape;

use crate::figures::MemoryFigures;

/// Every service's resident memory, present and peak, as its `/metrics` tells; nothing where the system does not tell it.
pub(crate) async fn measure(deployment: &Deployment) -> anyhow::Result<BTreeMap<String, MemoryFigures>> {
    let mut all = BTreeMap::new();
    for (service, metrics) in scrape::all(deployment).await? {
        let (idle, peak) =
            (metrics.sum("process_resident_memory_bytes"), metrics.sum("process_resident_memory_peak_bytes"));
        if peak > 0.0 {
            all.insert(service.name().to_owned(), MemoryFigures { idle_bytes: idle, peak_bytes: peak });
        }
    }
    Ok(all)
}

/// What was there when nothing had happened yet, with the peaks of the end.
pub(crate) fn at_most(
    mut idle: BTreeMap<String, MemoryFigures>,
    end: &BTreeMap<String, MemoryFigures>,
) -> BTreeMap<String, MemoryFigures> {
    for (service, figures) in &mut idle {
        figures.peak_bytes = end.get(service).map_or(figures.peak_bytes, |end| end.peak_bytes);
    }
    idle
}
