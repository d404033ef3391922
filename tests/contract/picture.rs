//! The picture in the README: drawn from the flows, checked in as an SVG for light pages and one for dark ones, and true, since
//! its arrows are as many as an order's trace has.

mod draw;
mod flows;
mod palette;
mod rows;

use anyhow::{Context as _, ensure};
use lab::styles::Counts;
use lab::{STYLES, Style};

use self::flows::{FLOWS, Flow};
use super::Findings;
use super::documents::is_what_is_checked_in;
use crate::harness::{Outcome, Suite, workspace_root};

pub fn register(suite: &mut Suite) {
    suite.trial(
        "picture::the_pictures_that_are_checked_in_are_what_the_flows_say".to_owned(),
        pictures_are_checked_in,
    );
    suite.trial("picture::every_style_has_the_arrows_that_its_order_costs".to_owned(), arrows_are_the_cost);
    suite.trial("picture::every_style_has_a_row_in_the_readme".to_owned(), readme_has_every_style);
}

async fn pictures_are_checked_in() -> Outcome {
    let mut findings = Findings::default();
    for palette in [palette::LIGHT, palette::DARK] {
        let path = format!("docs/pictures/{}", palette.file);
        findings.note(&path, is_what_is_checked_in(&path, &draw::draw(&palette)));
    }
    findings.conclude()
}

/// The suite counts what an order costs in its trace, and holds it against the same figures (`scenario/cost.rs`).
async fn arrows_are_the_cost() -> Outcome {
    let names = |styles: &mut dyn Iterator<Item = &'static str>| styles.collect::<Vec<_>>();
    let drawn = names(&mut FLOWS.iter().map(|flow| flow.style));
    let known = names(&mut STYLES.iter().map(|style| style.name));
    ensure!(drawn == known, "drawn are {drawn:?}, and the styles are {known:?}");
    let mut findings = Findings::default();
    for style in STYLES {
        let flow = flow_of(style)?;
        let (http_requests, gets) = flow.requests();
        let arrows = Counts { http_requests, gets, rpcs: flow.rpcs(), messages: flow.messages() };
        let cost = style.features.cost_of_a_paid_order;
        let same =
            if arrows == cost { Ok(()) } else { Err(anyhow::anyhow!("{arrows:?} instead of {cost:?}")) };
        findings.note(style.name, same);
    }
    findings.conclude()
}

async fn readme_has_every_style() -> Outcome {
    let readme = std::fs::read_to_string(workspace_root().join("README.md"))?;
    let mut findings = Findings::default();
    for style in STYLES {
        let begin = format!("| [{0}]({0}/README.md) |", style.name);
        let row = readme.lines().find(|line| line.starts_with(&begin)).context("has no row");
        let cost = flow_of(style)?.cost();
        let tells = row.and_then(|row| {
            ensure!(row.contains(&format!("| {cost} |")), "the row does not say `{cost}`");
            Ok(())
        });
        findings.note(style.name, tells);
    }
    findings.conclude()
}

fn flow_of(style: &Style) -> anyhow::Result<&'static Flow> {
    FLOWS.iter().find(|flow| flow.style == style.name).with_context(|| format!("{} is not drawn", style.name))
}
