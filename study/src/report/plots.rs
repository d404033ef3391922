//! The page's plots: SVG that plotters draws, with colours that the page's style sheet decides, so that they are right in light
//! and in dark.

mod bars;
mod chart;
mod curves;
mod timeline;

pub(crate) use self::bars::stacked;
pub(crate) use self::chart::Plot;
pub(crate) use self::curves::{latency, throughput};
pub(crate) use self::timeline::{KINDS, timeline};
