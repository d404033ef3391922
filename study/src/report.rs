//! The report: all figures of a comparison, as data and as a page.

mod choice;
mod page;
mod plots;
mod sections;
mod sequence;
mod table;
mod walk;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
pub use choice::{Choice, choose};

use self::sequence::Sequence;
use crate::figures::Report;

/// Writes the report into `dir`: `report.html`, a page that needs nothing but itself; `report.json`, all figures, and their
/// schema, `report.schema.json`; and each style's sequence diagram in Mermaid, `sequence-<style>.mmd`. Says where the page is.
///
/// # Errors
/// If a file cannot be written, or a plot cannot be drawn.
pub fn write(report: &Report, dir: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display())).map(|()| path)
    };
    put("report.json", &serde_json::to_string_pretty(report)?)?;
    put("report.schema.json", &serde_json::to_string_pretty(&schemars::schema_for!(Report))?)?;
    for style in report.styles.iter().filter(|style| !style.trace.is_empty()) {
        put(&format!("sequence-{}.mmd", style.style), &Sequence::of(&style.trace).mermaid(&style.style))?;
    }
    put("report.html", &page::render(report)?)
}

/// Reads a `report.json`.
///
/// # Errors
/// If it cannot be read, or is none.
pub fn read(path: &Path) -> anyhow::Result<Report> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a report of this version", path.display()))
}
