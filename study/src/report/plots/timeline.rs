//! An outage as clients saw it: each order where it was placed, as high as its answer took, in the colour and shape of the
//! answer.

use plotters::element::{Circle, Cross, Rectangle, TriangleMarker};
use plotters::style::Color as _;

use super::chart::{Axis, FINE, Plot, chart, ink, log};
use crate::figures::units;
use crate::figures::{AnswerFigures, OutageFigures};

const SIZE: (u32, u32) = (400, 170);

/// The kinds of answers: a colour's name, a mark, and what it means.
pub(crate) const KINDS: [(&str, &str, &str); 4] = [
    ("paid", "●", "201: paid"),
    ("accepted", "▲", "202: accepted, decided later"),
    ("refused", "✕", "503 or another 5xx: refused"),
    ("other", "○", "no answer, or another one"),
];

/// The kind of an answer, by its place in [`KINDS`].
fn kind(answer: &AnswerFigures) -> usize {
    match answer.status {
        201 => 0,
        202 => 1,
        500..=599 => 2,
        _ => 3,
    }
}

/// One style without one part. `ends` is where the horizontal axis ends, the vertical one at `most_ms`: the same for all plots,
/// so that they can be compared.
///
/// # Errors
/// If there is nothing to draw on.
pub(crate) fn timeline(
    title: String,
    outage: &OutageFigures,
    ends: (f64, f64),
    most_ms: f64,
) -> anyhow::Result<Plot> {
    let away = outage.away_s;
    let mut x = Axis {
        range: ends.0..ends.1,
        ticks: vec![(0.0, "away".to_owned()), (away, "back".to_owned())],
        title: "",
    };
    if ends.0 < -1.0 {
        x.ticks.insert(0, (ends.0, units::seconds(ends.0).replace('-', "−")));
    }
    let y = Axis::log(1.0, most_ms.max(10.0) * 1.6);
    let counts = [0, 1, 2, 3].map(|place| outage.timeline.iter().filter(|it| kind(it) == place).count());
    let about = format!(
        "{title}: {} answers with 201, {} with 202, {} with 5xx, {} others",
        counts[0], counts[1], counts[2], counts[3]
    );
    let svg = chart(&about, SIZE, (&x, &y), |chart| {
        let band = [(0.0, y.range.start), (away, y.range.end)];
        chart.draw_series([Rectangle::new(band, ink("away").filled())])?;
        for answer in &outage.timeline {
            let at = (answer.placed_at_s, log(answer.answered_after_ms.max(1.0)));
            match kind(answer) {
                0 => chart.draw_series([Circle::new(at, 2 * FINE, ink("paid").filled())]).map(drop)?,
                1 => chart
                    .draw_series([TriangleMarker::new(at, 4 * FINE, ink("accepted").filled())])
                    .map(drop)?,
                2 => chart
                    .draw_series([Cross::new(at, 3 * FINE, ink("refused").stroke_width(FINE))])
                    .map(drop)?,
                _ => chart
                    .draw_series([Circle::new(at, 3 * FINE, ink("other").stroke_width(FINE))])
                    .map(drop)?,
            }
        }
        Ok(())
    })?;
    Ok(Plot { title, axis: "answered after, ms".to_owned(), svg })
}
