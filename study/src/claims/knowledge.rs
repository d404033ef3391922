//! Who knows whom in a style: from its AsyncAPI documents, from the trace of a paid order, and from its source, as they were when
//! this program was built.
//!
//! A message is a word of one service, and who uses the word knows that service. An event is its sender's: hearers know who says
//! it. A command and the reply to it are the receiver's: whoever commands knows whom, and is known by nobody.

use std::collections::{BTreeMap, BTreeSet};

use lab::styles::{Features, Style};
use serde_json::Value;

use crate::figures::StyleFigures;

/// Words, services, or pairs of services.
type Names = BTreeSet<String>;
type Pairs = BTreeSet<(String, String)>;

/// A file of one service's own.
struct Owned {
    style: &'static str,
    service: &'static str,
    source: &'static str,
}

/// The files of a style by the services that they belong to.
macro_rules! owned {
    ($($style:literal: { $($service:ident: [$($name:literal),+]),+ })+) => {
        &[$($($(Owned {
            style: $style,
            service: stringify!($service),
            source: include_str!(concat!("../../../", $style, "/src/", $name)),
        }),+),+),+]
    };
}

const OWNED: &[Owned] = owned! {
    "event-notifications": {
        gateway: ["gateway.rs"], order: ["order.rs"], billing: ["billing.rs"], notification: ["notification.rs"]
    }
    "event-collab": {
        gateway: ["gateway.rs"], order: ["order.rs"], billing: ["billing.rs"], notification: ["notification.rs", "parked.rs"]
    }
    "command-reply": {
        gateway: ["gateway.rs"], order: ["order.rs", "orders.rs", "saga.rs", "bookings.rs"], billing: ["billing.rs"],
        notification: ["notification.rs"], ticket: ["ticket.rs"]
    }
};

/// How often a service names words: in so many lines of so many of its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) lines: u64,
    pub(super) files: u64,
}

/// What passes for a paid order in a style, and who says, hears and answers it.
pub(super) struct Knowledge {
    style: String,
    /// Events: those of whoever says them. Otherwise they are commands, and replies.
    are_events: bool,
    says: BTreeMap<String, Names>,
    hears: BTreeMap<String, Names>,
    /// Replies to wherever a command says.
    answers: BTreeMap<String, Names>,
    /// What a service may say, each word with the replies to it.
    all_words: BTreeMap<String, Vec<Names>>,
    /// Who calls whom, for an order.
    calls: Pairs,
    /// The messages of an order without a ticket.
    flow: Names,
}

/// Whether nobody runs the flow: each service acts on what it hears.
pub(super) fn is_choreographed(features: &Features) -> bool {
    features.requests_are_messages
}

impl Knowledge {
    /// What is known of a style whose trace was recorded; `None` otherwise.
    pub(super) fn of(figures: &StyleFigures) -> Option<Self> {
        let style = Style::find(&figures.style).filter(|_| !figures.trace.is_empty())?;
        let mut knowledge = Self {
            style: figures.style.clone(),
            are_events: is_choreographed(&style.features),
            says: BTreeMap::new(),
            hears: BTreeMap::new(),
            answers: BTreeMap::new(),
            all_words: BTreeMap::new(),
            calls: calls(figures),
            flow: sent(figures),
        };
        for (service, document) in (style.async_documents)() {
            for operation in document["operations"].as_object().into_iter().flat_map(|all| all.values()) {
                knowledge.note(service, operation);
            }
        }
        Some(knowledge)
    }

    fn note(&mut self, service: &str, operation: &Value) {
        let (words, replies) = (names(&operation["messages"]), names(&operation["reply"]["messages"]));
        let in_flow = |words: &Names| words.intersection(&self.flow).cloned().collect::<Names>();
        let (passing, answering) = (in_flow(&words), in_flow(&replies));
        let goes_where_the_command_says = operation["reply"]["address"]["location"].is_string();
        let add = |map: &mut BTreeMap<String, Names>, words| {
            map.entry(service.to_owned()).or_default().extend(words);
        };
        if operation["action"] == "send" {
            add(&mut self.says, passing);
            add(&mut self.hears, answering);
            let all = words.into_iter().chain(replies).collect();
            self.all_words.entry(service.to_owned()).or_default().push(all);
        } else {
            add(&mut self.hears, passing);
            add(if goes_where_the_command_says { &mut self.answers } else { &mut self.says }, answering);
        }
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.says.is_empty()
    }

    /// Those who decide what is said next. Whoever only answers does not.
    pub(super) fn deciders(&self) -> Vec<&str> {
        let says = self.says.iter().filter(|(_, words)| !words.is_empty());
        says.map(|(service, _)| service.as_str()).collect()
    }

    /// Those who take part by what they hear, and whom the client does not ask.
    pub(super) fn participants(&self) -> Vec<&str> {
        let hears = self.hears.iter().filter(|(service, words)| !words.is_empty() && *service != "gateway");
        let decides = |service: &str| !self.are_events && self.deciders().contains(&service);
        hears.map(|(service, _)| service.as_str()).filter(|service| !decides(service)).collect()
    }

    /// Whose word it is.
    fn owner(&self, word: &str) -> Option<&str> {
        let has = |map: &BTreeMap<String, Names>, service: &str| {
            map.get(service).is_some_and(|it| it.contains(word))
        };
        let services = self.says.keys().chain(self.hears.keys()).chain(self.answers.keys());
        let is_owner = |service: &str| match (self.are_events, has(&self.says, service)) {
            (true, says) => says,
            (false, true) => false,
            // A reply is heard by whoever commanded, and is the one's who gives it.
            (false, false) => {
                has(&self.answers, service) || (has(&self.hears, service) && !self.is_reply(word))
            }
        };
        services.map(String::as_str).find(|service| is_owner(service))
    }

    fn is_reply(&self, word: &str) -> bool {
        self.answers.values().any(|words| words.contains(word))
    }

    /// How often `service` names words of others.
    pub(super) fn names_others(&self, service: &str) -> Named {
        let foreign = |word: &&String| self.owner(word).is_some_and(|owner| owner != service);
        named(&self.style, service, &self.flow.iter().filter(foreign).cloned().collect())
    }

    /// Pairs of services of which one names words of the other.
    pub(super) fn knows(&self) -> Pairs {
        let services: Names = self.says.keys().chain(self.hears.keys()).cloned().collect();
        let known = |service: &String| {
            let owned_by_other = self.flow.iter().filter_map(|word| {
                let owner = self.owner(word).filter(|owner| owner != service)?;
                let word = Names::from([word.clone()]);
                (named(&self.style, service, &word).lines > 0).then(|| (service.clone(), owner.to_owned()))
            });
            owned_by_other.collect::<Vec<_>>()
        };
        services.iter().flat_map(known).collect()
    }

    /// Lines in which any service names words of others.
    pub(super) fn lines_that_name_others(&self) -> u64 {
        self.says
            .keys()
            .chain(self.hears.keys())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|it| self.names_others(it).lines)
            .sum()
    }

    /// Services that depend on each other in a circle: each calls another of them, or says what that one listens for.
    pub(super) fn circle(&self) -> Vec<&str> {
        let mut arrows = self.calls.clone();
        for (from, said) in &self.says {
            let hearers = self.hears.iter().filter(|(to, heard)| *to != from && !heard.is_disjoint(said));
            arrows.extend(hearers.map(|(to, _)| (from.clone(), to.clone())));
        }
        // Where nobody sends messages, those who call each other.
        let names = self.says.keys().chain(self.hears.keys()).map(String::as_str);
        let services: BTreeSet<&str> =
            names.chain(self.calls.iter().map(|(from, _)| from.as_str())).collect();
        services.into_iter().filter(|service| comes_back(service, &arrows)).collect()
    }

    /// How often each service names what only orders with a ticket need: commands beyond those of other orders, and replies to them.
    pub(super) fn beyond_the_flow(&self) -> BTreeMap<&'static str, Named> {
        let said = self.all_words.values().flatten();
        let beyond: Names = said.filter(|words| words.is_disjoint(&self.flow)).flatten().cloned().collect();
        let own = OWNED.iter().filter(|file| file.style == self.style).map(|file| file.service);
        own.map(|service| (service, named(&self.style, service, &beyond))).collect()
    }
}

/// The messages of a list of references, each in its usual form alone.
fn names(list: &Value) -> Names {
    let name = |it: &Value| it["$ref"].as_str()?.rsplit('/').next().map(str::to_owned);
    let all = list.as_array().into_iter().flatten().filter_map(name);
    all.filter(|name| !name.ends_with("Structured")).collect()
}

/// What was sent in the trace of a paid order.
fn sent(figures: &StyleFigures) -> Names {
    let producers = figures.trace.iter().filter(|span| span.kind == "producer");
    producers.filter_map(|span| span.name.strip_prefix("send ")).map(str::to_owned).collect()
}

/// Who called whom in it.
fn calls(figures: &StyleFigures) -> Pairs {
    let servers = figures.trace.iter().filter(|span| span.kind == "server");
    let caller = |parent: &String| figures.trace.iter().find(|span| &span.id == parent);
    servers
        .filter_map(|span| Some((caller(span.parent.as_ref()?)?.service.clone(), span.service.clone())))
        .collect()
}

/// Whether arrows lead from `service` back to it.
fn comes_back(service: &str, arrows: &Pairs) -> bool {
    let (mut reached, mut ahead) = (BTreeSet::new(), vec![service]);
    while let Some(at) = ahead.pop() {
        for (_, to) in arrows.iter().filter(|(from, to)| from == at && from != to) {
            if reached.insert(to.as_str()) {
                ahead.push(to);
            }
        }
    }
    reached.contains(service)
}

/// How often the files of a service name one of `words` in their code.
fn named(style: &str, service: &str, words: &Names) -> Named {
    let own = OWNED.iter().filter(|file| (file.style, file.service) == (style, service));
    own.map(|file| lines_with(file.source, words))
        .filter(|lines| *lines > 0)
        .fold(Named::default(), |sum, lines| Named { lines: sum.lines + lines, files: sum.files + 1 })
}

/// Lines of code, comments aside, that have one of `words` as a whole word.
fn lines_with(source: &str, words: &Names) -> u64 {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let parts = |line: &str| -> Names {
        line.split(|it: char| !it.is_alphanumeric() && it != '_').map(str::to_owned).collect()
    };
    source.lines().filter(is_code).filter(|line| !parts(line).is_disjoint(words)).count() as u64
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// What belongs to no service alone.
    const SHARED: [&str; 7] =
        ["main.rs", "lib.rs", "messages.rs", "channels.rs", "calls.rs", "replica.rs", "replication.rs"];

    #[test]
    fn every_file_of_a_style_with_messages_belongs_to_a_service_or_to_all() {
        let styles: BTreeSet<&str> = OWNED.iter().map(|file| file.style).collect();
        let with_messages = lab::styles::STYLES.iter().filter(|style| style.features.has_messages());
        assert_eq!(styles, with_messages.map(|style| style.name).collect());
        for style in styles {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(style).join("src");
            for file in fs::read_dir(directory).unwrap() {
                let path = file.unwrap().path();
                let (name, source) = (path.file_name().unwrap(), fs::read_to_string(&path).unwrap());
                let is_owned = OWNED.iter().any(|file| file.style == style && file.source == source);
                let is_shared = SHARED.iter().any(|shared| name == *shared);
                assert!(is_owned != is_shared, "{style}: whose is {}?", name.display());
            }
        }
    }

    #[test]
    fn whole_words_of_code_are_counted_line_by_line() {
        let source = "//! SendEmail\nuse a::{SendEmail, X};\n    // SendEmail\nlet y = SendEmail { z: SendEmailLater };\nSendEmails";
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(lines_with(source, &words(&["SendEmail"])), 2);
        assert_eq!(lines_with(source, &words(&["SendEmail", "X", "SendEmailLater"])), 2);
        assert_eq!(lines_with(source, &words(&[])), 0);
    }

    #[test]
    fn only_arrows_that_come_back_make_a_circle() {
        let arrows =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let line: Pairs = arrows(&[("a", "b"), ("b", "c"), ("a", "c"), ("c", "c")]);
        assert!(!["a", "b", "c"].into_iter().any(|service| comes_back(service, &line)));
        let ring: Pairs = arrows(&[("a", "b"), ("b", "c"), ("c", "b")]);
        assert_eq!(["a", "b", "c"].map(|service| comes_back(service, &ring)), [false, true, true]);
    }
}
