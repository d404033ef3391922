//! What every plot is made of: axes, colours by the names of the page's style sheet, and the drawing itself, which plotters does.

use std::ops::Range;

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::IntoDrawingArea as _;
use plotters::style::{Color as _, IntoFont as _, RGBColor, ShapeStyle};

use crate::figures::units;

/// A plot with what is said above it.
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What its vertical axis is.
    pub(crate) axis: String,
    pub(crate) svg: String,
}

/// The page's colours, by the names of its style sheet. A backend takes numbers only, so each stands for its place here.
const INKS: [&str; 22] = [
    "ink", "quiet", "grid", "away", "style-0", "style-1", "style-2", "style-3", "style-4", "style-5",
    "part-0", "part-1", "part-2", "part-3", "part-4", "part-5", "part-6", "part-7", "paid", "accepted",
    "refused", "other",
];

pub(super) type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

/// The backend draws at whole numbers only: a plot is drawn this much larger than it is shown.
pub(super) const FINE: u32 = 2;

/// An axis: from where to where, and what stands at which place.
#[derive(Clone)]
pub(super) struct Axis {
    pub(super) range: Range<f64>,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) title: &'static str,
}

impl Axis {
    /// From 0 to a little more than `most`, with round numbers.
    pub(super) fn from_zero(most: f64) -> Self {
        let most = if most > 0.0 { most * 1.08 } else { 1.0 };
        let step = round_step(most / 4.0);
        let ticks =
            std::iter::successors(Some(0.0), |tick| Some(tick + step)).take_while(|tick| *tick <= most);
        Self { range: 0.0..most, ticks: ticks.map(|at| (at, tick(at))).collect(), title: "" }
    }

    /// Around the values, which are shown by their logarithms (see [`log`]), with 1, 2 and 5 of each power of ten, or with the
    /// powers alone where these would be too many.
    pub(super) fn log(least: f64, most: f64) -> Self {
        let range = log(least * 0.8)..log(most * 1.25).max(log(least * 0.8) + 0.5);
        let steps: &[f64] = if range.end - range.start < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = (-3..9).map(|power| 10_f64.powi(power));
        let values = powers.flat_map(|power| steps.iter().map(move |step| step * power));
        let ticks =
            values.map(|value| (log(value), tick(value))).filter(|(at, _)| range.contains(at)).collect();
        Self { range, ticks, title: "" }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(tick, _)| *tick).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, at: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| (tick - at).abs() < 1e-9);
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// Where a value stands on a logarithmic axis; what is too small for it stands at a thousandth.
pub(super) fn log(value: f64) -> f64 {
    value.max(1e-3).log10()
}

/// 1, 2 or 5 times a power of ten: at least `about`.
fn round_step(about: f64) -> f64 {
    let power = 10_f64.powf(about.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= about).unwrap_or(about)
}

/// A round number as it stands at an axis.
fn tick(value: f64) -> String {
    if value < 1.0 { ((value * 1e3).round() / 1e3).to_string() } else { units::count(value) }
}

/// The colour called `name` in the style sheet.
pub(super) fn ink(name: &str) -> RGBColor {
    let place = INKS.iter().position(|ink| *ink == name).expect("a colour of the style sheet");
    RGBColor(0xF0, 0x0D, u8::try_from(place).unwrap_or(u8::MAX))
}

/// The colour of the style at `place` in the registry.
pub(super) fn style_ink(place: usize) -> RGBColor {
    ink(["style-0", "style-1", "style-2", "style-3", "style-4", "style-5"][place % 6])
}

pub(super) fn line(colour: RGBColor) -> ShapeStyle {
    colour.stroke_width(2 * FINE)
}

/// Draws axes, and on them what `draw` draws. `about` is what somebody hears who cannot see it.
pub(super) fn chart(
    about: &str,
    (width, height): (u32, u32),
    (x, y): (&Axis, &Axis),
    draw: impl FnOnce(&mut Chart) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let (mut svg, size) = (String::new(), (width * FINE, height * FINE));
    {
        let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let mut chart = ChartBuilder::on(&canvas)
            .margin(6 * FINE)
            .margin_right(14 * FINE)
            .x_label_area_size(if x.title.is_empty() { 22 } else { 40 } * FINE)
            .y_label_area_size(46 * FINE)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let label = ("sans-serif", 16 * FINE).into_font().color(&ink("quiet"));
        chart
            .configure_mesh()
            .axis_style(ink("quiet"))
            .bold_line_style(ink("grid").stroke_width(FINE))
            .light_line_style(ink("grid").mix(0.0))
            .label_style(label.clone())
            .axis_desc_style(label)
            .x_desc(x.title)
            .draw()?;
        draw(&mut chart)?;
        canvas.present()?;
    }
    Ok(for_page(&svg, size, about))
}

/// Colours by name, a size that follows the page's, and words for those who cannot see it.
fn for_page(svg: &str, (width, height): (u32, u32), about: &str) -> String {
    let about = about.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let fixed = format!("<svg width=\"{width}\" height=\"{height}\"");
    let mut themed = svg.replacen(&fixed, &format!("<svg role=\"img\" aria-label=\"{about}\""), 1);
    for (place, name) in INKS.iter().enumerate() {
        themed = themed.replace(&format!("#F00D{place:02X}"), &format!("var(--{name})"));
    }
    themed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_the_colours_of_the_page_and_words_for_the_blind() {
        let (x, y) = (Axis::from_zero(10.0), Axis::log(0.5, 90.0));
        let svg = chart("a \"plot\" & more", (300, 200), (&x, &y), |_| Ok(())).unwrap();
        assert!(svg.starts_with("<svg role=\"img\" aria-label=\"a &quot;plot&quot; &amp; more\""), "{svg}");
        assert!(svg.contains("var(--grid)") && !svg.contains("#F00D"), "{svg}");
        assert!(svg.contains(">\n0.5\n<") && svg.contains(">\n100\n<"), "the axis has round numbers: {svg}");
    }

    #[test]
    fn steps_are_round() {
        let steps = [0.23, 1.0, 3.0, 7.0, 45.0].map(|about| tick(round_step(about)));
        assert_eq!(steps, ["0.5", "1", "5", "10", "50"]);
    }
}
