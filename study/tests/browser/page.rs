//! What the page has to be: every section that has figures is filled, nothing is left over from the templates, and it needs no
//! network.

use std::path::{Path, PathBuf};
use std::{env, fs};

use study::figures::Report;
use study::report::{read, write};

use crate::{chromium, made_up};

/// What has to be there, and to have something in it.
const SECTIONS: [&str; 15] = [
    "at-a-glance",
    "choice",
    "cost",
    "latency",
    "throughput",
    "idle",
    "availability",
    "discovery",
    "freshness",
    "consistency",
    "sequence",
    "claims",
    "mistakes",
    "walk",
    "settings",
];
/// What a figure that is none, or a template that was not filled, looks like.
const LEFT_OVERS: [&str; 6] = ["NaN", ">inf", "{{", "{%", "Some(", "None<"];

/// Where pictures and pages stay, to be looked at: beside what the comparison writes.
fn kept(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("study").join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The part of the page that is the section `id`.
fn section<'a>(dom: &'a str, id: &str) -> &'a str {
    let begin =
        dom.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("there is no section {id}"));
    let end = dom[begin..].find("</section>").map_or(dom.len(), |end| begin + end);
    &dom[begin..end]
}

/// Writes and opens the page; what the browser made of it.
fn rendered(report: &Report, name: &str) -> (String, PathBuf) {
    let directory = kept(name);
    let page = write(report, &directory).unwrap();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&scratch).unwrap();
    let (dom, console) = chromium::dump(&page, &scratch);
    // The page forbids itself to load anything (Content-Security-Policy); the browser would say here what it tried.
    assert_eq!(console, "");
    // Source code may look like anything.
    let without_code = dom.replace(section(&dom, "walk"), "");
    for left_over in LEFT_OVERS {
        assert!(!without_code.contains(left_over), "{left_over} is in {}", page.display());
    }
    for address in ["src=", "http://", "https://", "@import", "<link", "<script"] {
        let namespaces = ["http://www.w3.org/2000/svg"];
        let elsewhere = namespaces.iter().fold(dom.clone(), |dom, name| dom.replace(name, ""));
        assert!(!elsewhere.contains(address), "{address} is in {}", page.display());
    }
    for (width, height) in [(1280, 9_000), (400, 14_000)] {
        let picture = directory.join(format!("report-{width}.png"));
        chromium::screenshot(&page, &scratch, (width, height), &picture);
        let bytes = fs::read(&picture).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"), "{} is no picture", picture.display());
        assert!(bytes.len() > 100_000, "{} shows next to nothing", picture.display());
    }
    (dom, directory)
}

pub fn every_section_of_a_full_report_is_filled() {
    let (dom, directory) = rendered(&made_up::report(), "made-up-full");
    for id in SECTIONS {
        let section = section(&dom, id);
        assert!(section.contains("<h2"), "{id} has no heading");
        assert!(!section.contains("class=\"absent\">"), "{id} is not filled: {section}");
        let filled = ["<td", "<svg", "<pre"].iter().any(|content| section.contains(content));
        assert!(filled || id == "choice", "{id} shows nothing: {section}");
    }
    let report = made_up::report();
    let (styles, outages) =
        (report.styles.len(), report.styles.iter().map(|style| style.availability.len()).sum());
    for (id, plots) in
        [("latency", 4), ("throughput", 1 + styles), ("availability", outages), ("sequence", styles)]
    {
        assert_eq!(section(&dom, id).matches("<svg").count(), plots, "plots in {id}");
    }
    let saved = read(&directory.join("report.json")).unwrap();
    assert_eq!((saved.claims, saved.styles.len()), (made_up::report().claims, lab::STYLES.len()));
    for style in lab::STYLES {
        let diagram = fs::read_to_string(directory.join(format!("sequence-{}.mmd", style.name))).unwrap();
        assert!(
            diagram.contains("sequenceDiagram\n") && diagram.contains("client->>gateway: POST /orders"),
            "{diagram}"
        );
    }
    assert!(directory.join("report.schema.json").is_file());
}

/// It shows figures, and one line about all that it has none of.
pub fn a_quick_report_shows_what_was_measured() {
    let (dom, _) = rendered(&made_up::quick_report(), "made-up-quick");
    assert_eq!(dom.matches("cargo run --release -- --full").count(), 1);
    let shown = dom.replace(section(&dom, "walk"), "");
    assert_eq!(shown.matches("not measured").count(), 0);
    assert!(!shown.contains("<p class=\"absent\">"), "something is shown that was not measured");
}
