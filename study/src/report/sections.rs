//! The page's sections of figures: each has tables and plots, and says under each of them how it was made.

mod at_a_glance;
mod availability;
mod bookings;
mod cost;
mod discovery;
mod freshness;
mod idle;
mod latency;
mod section;
mod setup;
mod throughput;

pub(crate) use self::section::{Body, Section};
/// On what all this was measured.
pub(crate) use self::setup::section as setup;
use crate::figures::Report;

/// All sections that have figures, in their order; the answer to "which style when" comes between the first and the others.
///
/// # Errors
/// If a plot cannot be drawn.
pub(crate) fn sections(report: &Report) -> anyhow::Result<Vec<Section>> {
    let mut sections = vec![
        at_a_glance::section(report),
        cost::section(report),
        latency::section(report)?,
        throughput::section(report)?,
        idle::section(report),
        availability::section(report)?,
        discovery::section(report),
        bookings::section(report),
        freshness::section(report),
        setup::consistency(report),
    ];
    sections.retain(|section| !section.parts.is_empty());
    Ok(sections)
}
