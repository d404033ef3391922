//! What happened when: printed as it happens, and kept for the report.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The account of a run.
pub(super) struct Journal {
    started: Instant,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    lines: Vec<String>,
    /// What goes on: since when, and what.
    active: BTreeMap<usize, (Instant, String)>,
    last: usize,
}

impl Journal {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), entries: Mutex::default() }
    }

    /// Writes down something that has no length.
    pub(super) fn note(&self, what: &str) {
        self.write(&mut self.entries(), Instant::now(), "         ", what);
    }

    /// Something begins; [`Self::end`] writes it down.
    pub(super) fn begin(&self, what: &str) -> usize {
        let mut entries = self.entries();
        entries.last += 1;
        let number = entries.last;
        entries.active.insert(number, (Instant::now(), what.to_owned()));
        number
    }

    /// It has ended; `remark` says how, if that is worth saying.
    pub(super) fn end(&self, number: usize, remark: &str) {
        let mut entries = self.entries();
        let Some((begun, what)) = entries.active.remove(&number) else { return };
        let lasted = format!("+{:6.1} s", begun.elapsed().as_secs_f64());
        self.write(&mut entries, begun, &lasted, &format!("{what}{remark}"));
    }

    /// Everything, with what still goes on.
    pub(super) fn text(&self) -> String {
        let entries = self.entries();
        let active = entries.active.values();
        let active = active.map(|(begun, what)| self.line(*begun, "  goes on", what));
        entries.lines.iter().cloned().chain(active).collect::<Vec<_>>().join("\n")
    }

    fn write(&self, entries: &mut Entries, begun: Instant, lasted: &str, what: &str) {
        let line = self.line(begun, lasted, what);
        println!("{line}");
        entries.lines.push(line);
    }

    fn line(&self, begun: Instant, lasted: &str, what: &str) -> String {
        format!("{:7.1} s {lasted}  {what}", (begun - self.started).as_secs_f64())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
