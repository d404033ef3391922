//! The code walk: each step of an order in every style, side by side, from the source files themselves.

use super::figures::Report;

/// A step, and where each style takes it.
pub(crate) struct Step {
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
    /// Functions by style and file (below the style's `src`), in the order in which they run.
    taken: &'static [(&'static str, &'static str, &'static [&'static str])],
}

/// A function as its file has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) path: String,
    /// Lines of the file, from 1.
    pub(crate) lines: (usize, usize),
    pub(crate) code: String,
}

/// The files that are read, as they were when this program was built.
const SOURCES: &[(&str, &str, &str)] = &[
    ("restful", "order.rs", include_str!("../../../restful/src/order.rs")),
    ("restful", "calls.rs", include_str!("../../../restful/src/calls.rs")),
    ("restful", "waiting.rs", include_str!("../../../restful/src/waiting.rs")),
    ("event-notifications", "gateway.rs", include_str!("../../../event-notifications/src/gateway.rs")),
    ("event-notifications", "order.rs", include_str!("../../../event-notifications/src/order.rs")),
    ("event-notifications", "billing.rs", include_str!("../../../event-notifications/src/billing.rs")),
    (
        "event-notifications",
        "notification.rs",
        include_str!("../../../event-notifications/src/notification.rs"),
    ),
    ("event-collab", "gateway.rs", include_str!("../../../event-collab/src/gateway.rs")),
    ("event-collab", "order.rs", include_str!("../../../event-collab/src/order.rs")),
    ("event-collab", "billing.rs", include_str!("../../../event-collab/src/billing.rs")),
    ("event-collab", "notification.rs", include_str!("../../../event-collab/src/notification.rs")),
];

/// The steps. A function that moves or gets another name is looked up here, and nowhere else.
pub(crate) const STEPS: &[Step] = &[
    Step {
        title: "1. The client asks",
        about: "In restful the order service itself, which the gateway passes the request on to; else the gateway, which \
                publishes the request and waits for its outcome.",
        taken: &[
            ("restful", "order.rs", &["create_order"]),
            ("event-notifications", "gateway.rs", &["create_order"]),
            ("event-collab", "gateway.rs", &["create_order"]),
        ],
    },
    Step {
        title: "2. The order is there, pending",
        about: "Before any money is asked for, the order is committed.",
        taken: &[
            ("restful", "order.rs", &["begin"]),
            ("event-notifications", "order.rs", &["gather", "on_orders_requested"]),
            ("event-collab", "order.rs", &["on_orders_requested"]),
        ],
    },
    Step {
        title: "3. The price is withdrawn",
        about: "Billing decides, and remembers its decision.",
        taken: &[
            ("restful", "order.rs", &["decide"]),
            ("restful", "calls.rs", &["withdraw"]),
            ("event-notifications", "billing.rs", &["gather", "on_withdrawals_requested"]),
            ("event-collab", "billing.rs", &["on_withdrawals_requested"]),
        ],
    },
    Step {
        title: "4. Paid or rejected, for good",
        about: "The order service writes the decision down.",
        taken: &[
            ("restful", "order.rs", &["settle"]),
            ("event-notifications", "order.rs", &["on_withdrawals_processed"]),
            ("event-collab", "order.rs", &["on_withdrawals_processed"]),
        ],
    },
    Step {
        title: "5. The client is told",
        about: "The outcome, or 202 if it is not known in time.",
        taken: &[
            ("restful", "waiting.rs", &["outcome"]),
            ("event-notifications", "gateway.rs", &["processed"]),
            ("event-collab", "gateway.rs", &["processed"]),
        ],
    },
    Step {
        title: "6. The user is written to",
        about: "Whoever stores the email has to know the address.",
        taken: &[
            ("restful", "order.rs", &["notify"]),
            ("restful", "calls.rs", &["send_email"]),
            ("event-notifications", "notification.rs", &["gather", "on_orders_processed"]),
            ("event-collab", "notification.rs", &["on_orders_processed"]),
        ],
    },
];

impl Step {
    /// What the styles of `report` do in this step, in its order. `Err` names a function that is not where the table has it.
    pub(crate) fn excerpts(&self, report: &Report) -> Vec<(String, Vec<Result<Excerpt, String>>)> {
        let of = |style: &str| {
            let taken = self.taken.iter().filter(|(name, ..)| *name == style);
            let functions = taken.flat_map(|(_, file, names)| names.iter().map(move |name| (*file, *name)));
            functions.map(|(file, name)| excerpt(style, file, name)).collect()
        };
        report.styles.iter().map(|it| (it.style.clone(), of(&it.style))).collect()
    }
}

fn excerpt(style: &str, file: &str, name: &str) -> Result<Excerpt, String> {
    let source = SOURCES.iter().find(|(of, named, _)| *of == style && *named == file);
    let path = format!("{style}/src/{file}");
    let (lines, code) = source.and_then(|(.., source)| cut(source, name)).ok_or_else(|| {
        format!("{path} has no function {name}; say in study/src/report/walk.rs where it is now")
    })?;
    Ok(Excerpt { path, lines, code })
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
    fn every_step_is_found_in_the_sources() {
        for step in STEPS {
            for (style, file, names) in step.taken {
                for name in *names {
                    if let Err(missing) = excerpt(style, file, name) {
                        panic!("{}: {missing}", step.title);
                    }
                }
            }
        }
    }
}
