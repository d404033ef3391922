//! Draws the flows: a panel for each style, two beside each other, as an SVG that needs nothing but itself.

use std::fmt::Write as _;

use lab::Service;

use super::flows::{FLOWS, Flow, Step};
use super::palette::Palette;
use super::rows::Rows;

/// Who is in every panel, from left to right.
const COLUMNS: [Service; 4] = [Service::Gateway, Service::Order, Service::Billing, Service::Notification];
/// Panels beside each other.
const ACROSS: usize = 2;
const GAP: usize = 12;
const PANEL_WIDTH: usize = 444;
const WIDTH: usize = ACROSS * PANEL_WIDTH + (ACROSS - 1) * GAP;
/// Between two services.
const COLUMN_WIDTH: usize = 112;
/// Where the services' names end, and their lines begin.
const TOP: usize = 88;
/// Between two steps.
const ROW: usize = 28;
/// Below the last step: the end of the lines, and what the order costs.
const BOTTOM: usize = 52;
const LEGEND: usize = 80;
/// Half of the width of the bar that shows that a service is busy.
const BAR: usize = 4;

/// The whole picture in these colours.
pub fn draw(palette: &Palette) -> String {
    let mut svg = String::new();
    let mut y = 0;
    for row in FLOWS.chunks(ACROSS) {
        let height = row.iter().map(height).max().unwrap_or_default();
        for (at, flow) in row.iter().enumerate() {
            let x = at * (PANEL_WIDTH + GAP);
            _ = write!(svg, "<g transform=\"translate({x} {y})\">\n{}</g>\n", panel(flow, height));
        }
        y += height + GAP;
    }
    svg += &legend(y);
    let height = y + LEGEND - GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>How one paid order travels in each style</title>\n{}<rect class=\"back\" width=\"{WIDTH}\" \
         height=\"{height}\" rx=\"8\"/>\n{svg}</svg>\n",
        palette.style()
    )
}

/// How high a panel has to be.
fn height(flow: &Flow) -> usize {
    TOP + Rows::of(flow).last * ROW + BOTTOM
}

fn x_of(service: Service) -> usize {
    let column = COLUMNS.iter().position(|known| *known == service).expect("a service that has a column");
    (PANEL_WIDTH - (COLUMNS.len() - 1) * COLUMN_WIDTH) / 2 + column * COLUMN_WIDTH
}

fn y_of(row: usize) -> usize {
    TOP + row * ROW
}

fn panel(flow: &Flow, height: usize) -> String {
    let mut svg = format!(
        "<rect class=\"panel\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n\
         <text class=\"name\" x=\"14\" y=\"27\">{}</text>\n<text class=\"muted\" x=\"14\" y=\"46\">{}</text>\n",
        PANEL_WIDTH - 1,
        height - 1,
        flow.style,
        flow.about
    );
    let rows = Rows::of(flow);
    let end = y_of(rows.last) + 14;
    for service in COLUMNS {
        svg += &column(service, end);
    }
    for (service, from, to) in &rows.busy {
        let (x, y) = (x_of(*service) - BAR, y_of(*from) - BAR);
        let (width, height) = (2 * BAR, (to - from) * ROW + 2 * BAR);
        _ = writeln!(
            svg,
            "<rect class=\"busy\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\"/>"
        );
    }
    for (row, step) in &rows.steps {
        svg += &draw_step(y_of(*row), step);
    }
    svg + &format!("<text class=\"cost\" x=\"14\" y=\"{}\">{}</text>\n", height - 14, flow.cost())
}

/// A service's name, and its line down to `end`.
fn column(service: Service, end: usize) -> String {
    let x = x_of(service);
    format!(
        "<path class=\"life\" d=\"M{x} {TOP}V{end}\"/><rect class=\"head\" x=\"{}\" y=\"{}\" width=\"68\" height=\"22\" \
         rx=\"5\"/><text class=\"middle\" x=\"{x}\" y=\"{}\">{}</text>\n",
        x - 34,
        TOP - 26,
        TOP - 11,
        service.name()
    )
}

fn draw_step(y: usize, step: &Step) -> String {
    let gateway = x_of(Service::Gateway);
    match *step {
        Step::Asks => {
            arrow("client", 4, gateway - BAR, y) + &text("over", gateway + 9, y + 4, "a client orders")
        }
        Step::Answers => {
            arrow("client", gateway - BAR, 4, y) + &text("over", gateway + 9, y + 4, "201 Created")
        }
        Step::Http(from, to, label) => between("http", from, to, y) + &label_of("http", from, to, y, label),
        Step::Rpc(from, to, label) => between("rpc", from, to, y) + &label_of("rpc", from, to, y, label),
        Step::Message(from, readers, label) => {
            let arrows: String = readers.iter().map(|to| between("message", from, *to, y)).collect();
            let last = readers.last().expect("a message has readers");
            arrows + &label_of("message", readers[0], if readers.len() > 1 { *last } else { from }, y, label)
        }
        Step::Commits(Service::Notification, what) => {
            let x = x_of(Service::Notification);
            dot(x, y) + &text("over end", x - 9, y + 4, what)
        }
        Step::Commits(service, what) => dot(x_of(service), y) + &text("over", x_of(service) + 9, y + 4, what),
        Step::Done(_) | Step::Beside => unreachable!("they take no row"),
    }
}

/// An arrow from the bar of one service to the bar of another.
fn between(class: &str, from: Service, to: Service, y: usize) -> String {
    let (from, to) = (x_of(from), x_of(to));
    if from < to { arrow(class, from + BAR, to - BAR, y) } else { arrow(class, from - BAR, to + BAR, y) }
}

/// The tip is filled for what is answered, and open for messages.
fn arrow(class: &str, from: usize, to: usize, y: usize) -> String {
    let back = if from < to { to - 7 } else { to + 7 };
    let close = if class == "message" { "" } else { "Z" };
    format!(
        "<path class=\"{class}\" d=\"M{from} {y}H{to}\"/><path class=\"{class} tip\" d=\"M{back} {}L{to} {y}L{back} {}{close}\"/>\n",
        y - 4,
        y + 4
    )
}

/// What is said, above the arrow's middle.
fn label_of(class: &str, from: Service, to: Service, y: usize, label: &str) -> String {
    text(&format!("{class} over middle"), x_of(from).midpoint(x_of(to)), y - 6, label)
}

fn dot(x: usize, y: usize) -> String {
    format!("<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"4.5\"/>")
}

fn text(class: &str, x: usize, y: usize, text: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>\n")
}

fn legend(y: usize) -> String {
    let (first, second, third) = (y + 10, y + 32, y + 54);
    let entries = [
        arrow("http", 14, 50, first) + &text("", 58, first + 4, "HTTP request (its answer is not drawn)"),
        arrow("rpc", 14, 50, second) + &text("", 58, second + 4, "RPC: a call by gRPC (likewise)"),
        arrow("message", 14, 50, third) + &text("", 58, third + 4, "message through Kafka"),
        format!("<rect class=\"busy\" x=\"318\" y=\"{}\" width=\"36\" height=\"8\" rx=\"3\"/>\n", first - 4)
            + &text("", 362, first + 4, "works on the order, or waits for an answer"),
        dot(336, second) + &text("", 362, second + 4, "commits to its database"),
        text("muted", 622, first + 4, "The client waits while the gateway is busy."),
        text("muted", 622, second + 4, "Each stored email is then sent over SMTP."),
    ];
    entries.concat()
}
