//! The code walk: each step of an order in every style, side by side, from the source files themselves.

use lab::styles::{Code, Style, Walk};

use crate::figures::Report;

/// A step of an order.
pub(crate) struct Step {
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
    /// Where a style takes it; each style says so in its entry of the registry.
    taken: fn(&Walk) -> &'static [Code],
}

/// A function as its file has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) path: String,
    /// Lines of the file, from 1.
    pub(crate) lines: (usize, usize),
    pub(crate) code: String,
}

/// The steps.
pub(crate) const STEPS: &[Step] = &[
    Step {
        title: "1. The client asks",
        about: "In restful the order service itself, which the gateway passes the request on to; else the gateway, which \
                publishes the request and waits for its outcome.",
        taken: |walk| walk.asked,
    },
    Step {
        title: "2. The order is there, pending",
        about: "Before any money is asked for, the order is committed.",
        taken: |walk| walk.pending,
    },
    Step {
        title: "3. The price is withdrawn",
        about: "Billing decides, and remembers its decision.",
        taken: |walk| walk.withdrawn,
    },
    Step {
        title: "4. Paid or rejected, for good",
        about: "The order service writes the decision down.",
        taken: |walk| walk.settled,
    },
    Step {
        title: "5. The client is told",
        about: "The outcome, or 202 if it is not known in time.",
        taken: |walk| walk.told,
    },
    Step {
        title: "6. The user is written to",
        about: "Whoever stores the email has to know the address.",
        taken: |walk| walk.written_to,
    },
];

impl Step {
    /// What the styles of `report` do in this step, in its order. `Err` names a function that is not where the registry has it.
    pub(crate) fn excerpts(&self, report: &Report) -> Vec<(String, Vec<Result<Excerpt, String>>)> {
        let of = |name: &str| Style::find(name).map(|style| self.of(style)).unwrap_or_default();
        report.styles.iter().map(|it| (it.style.clone(), of(&it.style))).collect()
    }

    fn of(&self, style: &Style) -> Vec<Result<Excerpt, String>> {
        let taken = (self.taken)(&style.walk).iter();
        taken.flat_map(|code| code.functions.iter().map(|name| excerpt(code, name))).collect()
    }
}

fn excerpt(code: &Code, name: &str) -> Result<Excerpt, String> {
    let path = code.path;
    let found = cut(code.source, name);
    let (lines, code) = found.ok_or_else(|| {
        format!("{path} has no function {name}; say in the registry (lab/src/styles) where it is now")
    })?;
    Ok(Excerpt { path: path.to_owned(), lines, code })
}

/// The function called `name`: its documentation, and its code up to the closing brace at its own indentation, as rustfmt lays
/// it out. Attributes are left out.
fn cut(source: &str, name: &str) -> Option<((usize, usize), String)> {
    let lines: Vec<&str> = source.lines().collect();
    let begins = |line: &&str| {
        let line = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let line = line.trim_start_matches("async ").strip_prefix("fn ");
        line.and_then(|line| line.strip_prefix(name)).is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let at = lines.iter().position(begins)?;
    let indent = lines[at].len() - lines[at].trim_start().len();
    let closing = format!("{}}}", " ".repeat(indent));
    let end = at + lines[at..].iter().position(|line| *line == closing)?;
    let is_of_it = |line: &&&str| {
        !line.trim().is_empty() && line.len() > indent && !line.ends_with('{') && **line != closing
    };
    let above =
        lines[..at].iter().rev().take_while(is_of_it).filter(|line| line.trim_start().starts_with("///"));
    let documentation: Vec<&str> = above.copied().collect();
    let code = documentation.into_iter().rev().chain(lines[at..=end].iter().copied());
    let code: Vec<&str> = code.map(|line| line.get(indent..).unwrap_or_default()).collect();
    Some(((at + 1, end + 1), code.join("\n")))
}

#[cfg(test)]
mod tests {
    use lab::STYLES;

    use super::*;

    const SOURCE: &str = "\
use a::b;

impl Orders {
    /// Stores it.
    /// Twice.
    #[attribute(
        of = several,
    )]
    pub(crate) async fn begin(
        self,
    ) -> Order {
        if true {
            1
        }
    }

    fn begin_again() {}
}
";

    #[test]
    fn a_function_is_cut_out_with_its_documentation_and_without_attributes() {
        let (lines, code) = cut(SOURCE, "begin").unwrap();
        assert_eq!(lines, (9, 15));
        let expected = "/// Stores it.\n/// Twice.\npub(crate) async fn begin(\n    self,\n) -> Order {\n    \
                        if true {\n        1\n    }\n}";
        assert_eq!(code, expected);
        assert_eq!(cut(SOURCE, "beg"), None);
    }

    #[test]
    fn every_step_is_found_in_the_sources_of_every_style() {
        for step in STEPS {
            for style in STYLES {
                let excerpts = step.of(style);
                assert!(!excerpts.is_empty(), "{}: nothing in {}", step.title, style.name);
                let missing: Vec<&String> =
                    excerpts.iter().filter_map(|excerpt| excerpt.as_ref().err()).collect();
                assert!(missing.is_empty(), "{}: {missing:?}", step.title);
            }
        }
    }
}
