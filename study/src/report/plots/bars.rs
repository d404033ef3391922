//! Bars of parts: what an order takes of the processors, by process.

use plotters::element::Rectangle;
use plotters::style::Color as _;

use super::chart::{Axis, Plot, chart, ink};

const SIZE: (u32, u32) = (400, 230);
/// Half of a bar's width; bars stand 1 apart.
const HALF: f64 = 0.32;

/// A bar per label, each made of `parts` (by place of their colour) from the bottom; `most` is where the axis ends, so that
/// plots side by side can be compared.
///
/// # Errors
/// If there is nothing to draw on.
pub(crate) fn stacked(
    title: String,
    axis: &str,
    bars: &[(String, Vec<f64>)],
    most: f64,
    under: &'static str,
) -> anyhow::Result<Plot> {
    let places = || (0..).map(|place: u32| f64::from(place));
    let ticks: Vec<_> = places().zip(bars).map(|(place, (label, _))| (place, label.clone())).collect();
    let x = Axis { range: -0.6..ticks.last().map_or(0.0, |it| it.0) + 0.6, ticks, title: under };
    let y = Axis::from_zero(most);
    let svg = chart(&format!("{title}: {axis}"), SIZE, (&x, &y), |chart| {
        for (place, (_, parts)) in places().zip(bars) {
            let mut below = 0.0;
            for (part, &height) in parts.iter().enumerate() {
                let corners = [(place - HALF, below), (place + HALF, below + height)];
                chart.draw_series([Rectangle::new(corners, part_ink(part).filled())])?;
                below += height;
            }
        }
        Ok(())
    })?;
    Ok(Plot { title, axis: axis.to_owned(), svg })
}

fn part_ink(part: usize) -> plotters::style::RGBColor {
    ink(["part-0", "part-1", "part-2", "part-3", "part-4", "part-5", "part-6", "part-7"][part % 8])
}
