//! Lines cut from the source files themselves, so that what is shown is what runs.

use anyhow::Context as _;

/// A part of a file: from the first line that has `from` to the next that has `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) path: &'static str,
    pub(super) source: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
}

/// Cuts a part out of a file of this repository, named from its root.
macro_rules! cut {
    ($path:literal, $from:literal, $to:literal) => {
        $crate::mistakes::lines::Cut {
            path: $path,
            source: include_str!(concat!("../../../", $path)),
            from: $from,
            to: $to,
        }
    };
}
pub(super) use cut;

/// The parts, one under the other, each under its path, without the indentation that all of its lines have.
///
/// # Errors
/// When one is not there: its file has changed.
pub(super) fn of(cuts: &[Cut]) -> anyhow::Result<String> {
    Ok(cuts.iter().map(Cut::text).collect::<anyhow::Result<Vec<_>>>()?.join("\n"))
}

impl Cut {
    fn text(&self) -> anyhow::Result<String> {
        let Self { path, source, from, to } = self;
        let mut lines = source.lines().skip_while(|line| !line.contains(from)).peekable();
        lines.peek().with_context(|| format!("{path} has no line with {from}"))?;
        let mut part = Vec::new();
        for line in lines {
            part.push(line);
            if line.contains(to) {
                return Ok(format!("// {path}\n{}\n", unindented(&part)));
            }
        }
        anyhow::bail!("{path} has no line with {to} after {from}")
    }
}

fn unindented(lines: &[&str]) -> String {
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let least = lines.iter().filter(|line| !line.is_empty()).map(indentation).min().unwrap_or(0);
    lines.iter().map(|line| line.get(least..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::kinds::MISTAKES;

    #[test]
    fn the_lines_of_every_mistake_are_in_the_sources_and_few() {
        for mistake in MISTAKES {
            for cuts in [mistake.sound_lines, mistake.wrong_lines] {
                let text = super::of(cuts).unwrap();
                assert!((2..40).contains(&text.lines().count()), "{}:\n{text}", mistake.name);
            }
        }
    }
}
