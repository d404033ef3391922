//! A real browser without a screen, Chromium, as whoever opens the page has one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// Why nobody can look at a page here.
pub const MISSING: &str =
    "there is no Chromium on PATH: install it (Debian's package is `chromium`), or name it in CHROMIUM";

/// Where it is: `CHROMIUM`, or one of its usual names on `PATH`.
pub fn executable() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut candidates =
        names.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    candidates.find(|candidate| candidate.is_file())
}

/// Runs it on `page` with a profile of its own below `scratch`, and waits for its end.
fn open(page: &Path, scratch: &Path, arguments: &[String]) -> Output {
    let profile = scratch.join("profile");
    let output = Command::new(executable().expect(MISSING))
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
        ])
        .args(["--hide-scrollbars", "--enable-logging=stderr", "--log-level=0"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("Chromium can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "Chromium: {}\n{said}", output.status);
    output
}

/// The page as the browser has understood it, and what it complains about in its console.
pub fn dump(page: &Path, scratch: &Path) -> (String, String) {
    let output = open(page, scratch, &["--dump-dom".to_owned()]);
    let console = String::from_utf8_lossy(&output.stderr);
    let console = console.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n");
    (String::from_utf8(output.stdout).unwrap(), console)
}

/// A picture of the page, `width` wide, as PNG.
pub fn screenshot(page: &Path, scratch: &Path, (width, height): (u32, u32), picture: &Path) {
    // A browser's window is at least 500 wide; a frame in it is not.
    let frame = scratch.join(format!("frame-{width}.html"));
    let source = page.display();
    fs::write(
        &frame,
        format!(
            "<!doctype html><style>body{{margin:0}}iframe{{border:0}}</style>\
             <iframe src=\"file://{source}\" width={width} height={height}></iframe>"
        ),
    )
    .unwrap();
    let size = format!("--window-size={},{height}", width.max(500));
    open(&frame, scratch, &[size, format!("--screenshot={}", picture.display())]);
}
