//! The pages: a link that they make inside of the house leads to a file that is there, and to a heading that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::Findings;
use crate::harness::{Outcome, Suite, workspace_root};

/// What comes before the address of a link, in Markdown and in the HTML that a page may have, and what comes behind it.
const LINKS: [(&str, &[char]); 4] =
    [("](", &[')', ' ']), ("src=\"", &['"']), ("srcset=\"", &['"']), ("href=\"", &['"'])];

pub fn register(suite: &mut Suite) {
    suite.trial("pages::every_link_leads_somewhere".to_owned(), every_link_leads_somewhere);
    suite.trial("pages::a_link_that_leads_nowhere_is_found".to_owned(), dead_links_are_found);
}

async fn every_link_leads_somewhere() -> Outcome {
    let mut pages = BTreeMap::new();
    read_pages(&workspace_root(), Path::new(""), &mut pages)?;
    ensure!(pages.contains_key(Path::new("README.md")), "the README is not among {:?}", pages.keys());
    let mut findings = Findings::default();
    for (page, text) in &pages {
        for link in links(text) {
            let there = leads_somewhere(&pages, page, &link, |path| workspace_root().join(path).exists());
            findings.note(format!("{}: {link}", page.display()), there);
        }
    }
    findings.conclude()
}

async fn dead_links_are_found() -> Outcome {
    let text = "# A page\n\n[here](#a-page) [file](a.md) [dead](b.md) [cut](a.md#nothing) [world](https://example.org/b.md)\n\n\
                <img src=\"gone.svg\">\n\n```\n[code](c.md)\n```\n";
    let pages = BTreeMap::from([(PathBuf::from("docs/a.md"), text.to_owned())]);
    let page = Path::new("docs/a.md");
    let known = |path: &Path| path == page;
    let dead: Vec<_> =
        links(text).into_iter().filter(|link| leads_somewhere(&pages, page, link, known).is_err()).collect();
    ensure!(dead == ["b.md", "a.md#nothing", "gone.svg"], "{dead:?}");
    Ok(())
}

/// All pages below `folder` of `root`, by their path from there. What tools put there is not ours.
fn read_pages(root: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Outcome {
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = folder.join(&*name);
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules"].contains(&&*name) {
                read_pages(root, &path, pages)?;
            }
        } else if name.ends_with(".md") {
            let text = std::fs::read_to_string(entry.path());
            pages.insert(path.clone(), text.with_context(|| format!("reading {}", path.display()))?);
        }
    }
    Ok(())
}

/// The lines of `text` that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The addresses that `text` links to. One that is in code, between backticks, is no link.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // Every second part is code; it leaves a mark, so that a link whose text is code stays one.
        let line: String =
            line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "_" }).collect();
        for (before, behind) in LINKS {
            let addresses = line.split(before).skip(1).filter_map(|rest| rest.split(behind).next());
            found.extend(addresses.map(str::to_owned));
        }
    }
    found
}

fn leads_somewhere(
    pages: &BTreeMap<PathBuf, String>,
    page: &Path,
    link: &str,
    exists: impl Fn(&Path) -> bool,
) -> Outcome {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let path = match file {
        "" => page.to_owned(),
        file => resolved(&page.parent().context("a page in a folder")?.join(file)),
    };
    ensure!(exists(&path), "there is no {}", path.display());
    if !heading.is_empty() {
        let text = pages.get(&path).with_context(|| format!("{} is no page", path.display()))?;
        ensure!(headings(text).contains(heading), "{} has no such heading", path.display());
    }
    Ok(())
}

/// Without `..`, which only a path that is there could follow.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            resolved.pop();
        } else {
            resolved.push(component);
        }
    }
    resolved
}

/// How code hosts name the headings of a page: in lower case, without punctuation, with hyphens for spaces.
fn headings(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|title| title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>())
        .map(|title| title.replace(' ', "-"))
        .collect()
}
