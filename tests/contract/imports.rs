//! Who imports whom among the files of one crate, read from their tokens: `use` declarations and paths inside of code. Names are
//! followed through re-exports to the file that defines them. `mod` declarations import nothing, and neither do unit tests.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The path of a module or of something in it, from the crate's root or from where it is used.
type Path = Vec<String>;

/// The files of a crate, and the files that each imports.
pub struct Imports {
    by_file: BTreeMap<String, BTreeSet<String>>,
}

impl Imports {
    /// Reads `files`: their paths below `src`, and their texts.
    ///
    /// # Errors
    /// When one is not Rust.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> anyhow::Result<Self> {
        let mut house = Modules::default();
        for (file, text) in files {
            let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{file}: {error}"))?;
            house.take_in(file, module_of(file), tokens);
        }
        let mut by_file: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, module) in &house.modules {
            let used = module.uses.iter().map(|it| &it.path).chain(&module.paths);
            let found = used.filter_map(|used| house.find(path, used, 0));
            let imported = by_file.entry(module.file.clone()).or_default();
            imported.extend(found.filter(|file| *file != module.file).map(ToOwned::to_owned));
        }
        Ok(Self { by_file })
    }

    /// The files that `file` imports.
    pub fn of(&self, file: &str) -> Vec<&str> {
        self.by_file.get(file).into_iter().flatten().map(String::as_str).collect()
    }

    /// Files that import each other, straight or around, each circle once.
    pub fn circles(&self) -> Vec<BTreeSet<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.by_file.keys().map(|file| (file.as_str(), self.reached_from(file))).collect();
        let circle = |file: &str| -> BTreeSet<&str> {
            let back = reached[file].iter().copied();
            back.filter(|other| reached.get(other).is_some_and(|files| files.contains(file))).collect()
        };
        let circles: BTreeSet<BTreeSet<&str>> = self.by_file.keys().map(|file| circle(file)).collect();
        circles.into_iter().filter(|circle| !circle.is_empty()).collect()
    }

    fn reached_from(&self, file: &str) -> BTreeSet<&str> {
        let (mut reached, mut ahead) = (BTreeSet::new(), self.of(file));
        while let Some(next) = ahead.pop() {
            if reached.insert(next) {
                ahead.extend(self.of(next));
            }
        }
        reached
    }
}

/// Which module a file is; a program's `main.rs` is a crate of its own.
fn module_of(file: &str) -> Path {
    match file {
        "lib.rs" => Vec::new(),
        "main.rs" => vec!["main.rs".to_owned()],
        _ => file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect(),
    }
}

/// The modules of a crate.
#[derive(Default)]
struct Modules {
    modules: BTreeMap<Path, Module>,
    /// Where each macro is defined: an exported one is named from the root.
    macros: BTreeMap<String, String>,
}

/// What a module says.
#[derive(Default)]
struct Module {
    file: String,
    defines: BTreeSet<String>,
    uses: Vec<Use>,
    /// Paths inside of code.
    paths: Vec<Path>,
}

/// One name, or all of a module, brought in by `use`.
struct Use {
    path: Path,
    /// What it is called here; `None` for `*`.
    name: Option<String>,
}

impl Modules {
    fn take_in(&mut self, file: &str, path: Path, tokens: TokenStream) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        self.read(&mut module, &path, tokens, true);
        self.modules.insert(path, module);
    }

    /// Reads what is in a module; `outermost` are its items, and not what is inside of one.
    fn read(&mut self, module: &mut Module, at: &Path, tokens: TokenStream, outermost: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut place = 0;
        while let Some(token) = tokens.get(place) {
            let (word, next) = (word(token), tokens.get(place + 1));
            place += 1;
            if is_for_tests(&tokens[place - 1..]) {
                place += item_len(&tokens[place - 1..]) - 1;
            } else if word == "use" && !next.is_some_and(|next| is_punct(next, '<')) {
                let end = place + tokens[place..].iter().take_while(|token| !is_punct(token, ';')).count();
                spread(&tokens[place..end], &Vec::new(), &mut module.uses);
                place = end;
            } else if word == "pub" && next.is_some_and(|next| is_group(next, Delimiter::Parenthesis)) {
                // `pub(in crate::a)` imports nothing.
                place += 1;
            } else if let (TokenTree::Ident(_), Some(TokenTree::Ident(name))) = (token, next)
                && word == "mod"
            {
                if let Some(TokenTree::Group(inside)) = tokens.get(place + 1) {
                    let inner = [at.as_slice(), &[name.to_string()]].concat();
                    self.take_in(&module.file.clone(), inner, inside.stream());
                }
                place += 2;
            } else if let TokenTree::Group(group) = token {
                self.read(module, at, group.stream(), false);
            } else if let Some(segments) = path_at(&tokens[place - 1..]) {
                // Two colons before each but the first.
                place += 3 * (segments.len() - 1);
                module.paths.push(segments);
            } else if outermost
                && let Some(TokenTree::Ident(name)) = next
                && DEFINING.contains(&word.as_str())
            {
                module.defines.insert(name.to_string());
            } else if word == "macro_rules"
                && let Some(TokenTree::Ident(name)) = tokens.get(place + 1)
            {
                module.defines.insert(name.to_string());
                self.macros.insert(name.to_string(), module.file.clone());
            }
        }
    }

    /// The file in which something is that the module `from` calls `path`; `None` if it is of another crate.
    fn find(&self, from: &Path, path: &[String], hops: usize) -> Option<&str> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => (from[..from.len().checked_sub(1)?].to_vec(), &path[1..]),
            name if self.modules.contains_key(&[from.as_slice(), &[name.to_owned()]].concat()) => {
                (from.clone(), path)
            }
            _ => return None,
        };
        while rest.first().is_some_and(|name| name == "super") {
            at.pop()?;
            rest = &rest[1..];
        }
        for name in rest {
            let inner = [at.as_slice(), std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&inner) {
                at = inner;
                continue;
            }
            let module = self.modules.get(&at)?;
            if module.defines.contains(name) || hops > HOPS_MAX {
                return Some(&module.file);
            }
            if let Some(used) = module.uses.iter().find(|used| used.name.as_ref() == Some(name)) {
                return self.find(&at, &used.path, hops + 1);
            }
            let globs = module.uses.iter().filter(|used| used.name.is_none());
            let mut globs = globs.map(|glob| [glob.path.as_slice(), std::slice::from_ref(name)].concat());
            let within = globs.find_map(|path| self.find(&at, &path, hops + 1));
            let exported = self.macros.get(name).map(String::as_str);
            return within.or(exported).or(Some(&module.file));
        }
        // A module itself.
        self.modules.get(&at).map(|module| module.file.as_str())
    }
}

/// Re-exports that are followed, one after the other.
const HOPS_MAX: usize = 8;

/// What the name of an item follows.
const DEFINING: [&str; 8] = ["const", "enum", "fn", "static", "struct", "trait", "type", "union"];

/// Takes the names of a `use` apart, each with its whole path.
fn spread(tokens: &[TokenTree], before: &Path, into: &mut Vec<Use>) {
    for part in tokens.split(|token| is_punct(token, ',')) {
        let mut path = before.clone();
        let mut renamed = None;
        let mut words = part.iter().peekable();
        let mut is_whole = !part.is_empty();
        while let Some(token) = words.next() {
            match token {
                TokenTree::Ident(word) if *word == "as" => renamed = words.next().map(ToString::to_string),
                TokenTree::Ident(word) if *word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(group) => {
                    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                    spread(&inside, &path, into);
                    is_whole = false;
                }
                token if is_punct(token, '*') => {
                    into.push(Use { path: path.clone(), name: None });
                    is_whole = false;
                }
                _ => {}
            }
        }
        if is_whole {
            let name = renamed.or_else(|| path.last().cloned());
            into.push(Use { path, name });
        }
    }
}

/// The path at the beginning of `tokens`, if it has more than one segment.
fn path_at(tokens: &[TokenTree]) -> Option<Path> {
    let mut segments = vec![ident(tokens.first()?)?];
    let mut rest = &tokens[1..];
    while let [first, second, third, ..] = rest
        && is_punct(first, ':')
        && is_punct(second, ':')
        && let Some(segment) = ident(third)
    {
        segments.push(segment);
        rest = &rest[3..];
    }
    (segments.len() > 1).then_some(segments)
}

/// Whether an item begins here that is there for unit tests only.
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(attribute), ..] = tokens else { return false };
    let text = attribute.stream().to_string().replace(' ', "");
    is_punct(hash, '#') && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

/// How many tokens an item has, attributes included: up to a semicolon, or to the end of its block.
fn item_len(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| is_punct(token, ';') || is_group(token, Delimiter::Brace);
    tokens.iter().position(ends).map_or(tokens.len(), |last| last + 1)
}

fn word(token: &TokenTree) -> String {
    ident(token).unwrap_or_default()
}

fn ident(token: &TokenTree) -> Option<String> {
    if let TokenTree::Ident(word) = token { Some(word.to_string()) } else { None }
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}
