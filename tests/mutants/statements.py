"""Mutants of the SQL statements in Rust files: what a statement asks for is half of the store, and cargo-mutants sees a string.

    statements.py list [--in-diff DIFF] FILE...   names them, one a line: FILE:LINE:COLUMN: what is changed, in which function
    statements.py instrument LIB FILE...          has every statement looked up when it is run; LIB is the root of the crate
    statements.py run FILE NAME COMMAND...        runs a command, of what is instrumented, with that mutant; FILE is as it was before

All of a crate's mutants are compiled once: which one is run is said in the environment. Of those in a diff, as `git diff` writes it,
are the ones in lines that it adds. `exclude_re` in .cargo/mutants.toml holds here, too.
"""

import os
import re
import sys
import tomllib
from collections.abc import Iterator
from typing import NamedTuple


class Mutant(NamedTuple):
    """What is between two places of a statement becomes something new."""

    start: int
    end: int
    new: str
    what: str


# Takes one statement for another. A `\\` at the end of a line is read as Rust does: nothing up to the next word.
LOOK_UP = """
fn statement(said: &'static str) -> &'static str {
    match (std::env::var("MUTANT_OF"), std::env::var("MUTANT")) {
        (Ok(of), Ok(mutant)) if of == said => mutant.leak(),
        _ => said,
    }
}
"""


# A string that begins like a statement, on one line or several.
STATEMENT = re.compile(r'"((?:select|insert|update|delete|with|lock) (?:[^"\\]|\\.)*)"')
# Where a condition, an assignment or an order ends, unless it does so by a parenthesis.
CLAUSE_ENDS = re.compile(
    r"\b(?:and|or|(?<!distinct )from|where|returning|order by|limit|on conflict|for update|group by|union|then|end)\b"
)
# One word or operator for another.
REPLACED = [
    (r"(?<= )>=(?= )", ">"),
    (r"(?<= )<=(?= )", "<"),
    (r"(?<= )>(?= )", ">="),
    (r"(?<= )<(?= )", "<="),
    (r"(?<= )\+(?= )", "-"),
    (r"(?<= )-(?= )", "+"),
    (r"\bnot exists\b", "exists"),
    (r"\bis null\b", "is not null"),
    (r"\bis not null\b", "is null"),
    (r"\bis not distinct from\b", "is distinct from"),
    (r"\band\b", "or"),
    (r"\bor\b", "and"),
    (r"\blower\((\$?\w+)\)", r"\1"),
    (r"\bdesc\b", "asc"),
]
# What can be left away.
DROPPED = r" on conflict do nothing\b| skip locked\b| for update(?: skip locked)?\b| limit \$?\d+"


def end_of(text: str, start: int, ends: re.Pattern[str]) -> int:
    """Where what begins at `start` ends: before the next of `ends` that stands in no parentheses of its own."""
    depth = 0
    for at in range(start, len(text)):
        if text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth < 0:
                return at
        elif depth == 0 and at > start and ends.match(text, at):
            return at
    return len(text)


def conditions(text: str) -> Iterator[Mutant]:
    for keyword in re.finditer(r"\b(?:where|and|or) ", text):
        start = keyword.end()
        condition = text[start : end_of(text, start, CLAUSE_ENDS)].rstrip()
        yield Mutant(start, start + len(condition), "true", f"`{condition}` is always so")


def assignments(text: str) -> Iterator[Mutant]:
    for keyword in re.finditer(r"\bset (?=\w+ = )", text):
        start, end = keyword.end(), end_of(text, keyword.end(), CLAUSE_ENDS)
        while start < end:
            comma = min(end_of(text, start, re.compile(",")), end)
            column = text[start:comma].split()[0]
            if comma < end:
                yield Mutant(start, comma + 1, "", f"`{column}` is not set")
            elif start > keyword.end():
                # The last one goes with the comma before it.
                yield Mutant(start - 1, comma, " ", f"`{column}` is not set")
            else:
                yield Mutant(start, comma, f"{column} = default ", f"`{column}` gets its default")
            start = comma + 1


def orders(text: str) -> Iterator[Mutant]:
    for keyword in re.finditer(r"\border by ", text):
        yield Mutant(keyword.start(), end_of(text, keyword.end(), CLAUSE_ENDS), "", "in any order")


def words(text: str) -> Iterator[Mutant]:
    for pattern, new in REPLACED:
        for found in re.finditer(pattern, text):
            changed = found.expand(new)
            yield Mutant(found.start(), found.end(), changed, f"`{found.group()}` is `{changed}`")
    for found in re.finditer(DROPPED, text):
        yield Mutant(found.start(), found.end(), "", f"no `{found.group().strip()}`")


def mutants_in(source: str, path: str) -> Iterator[tuple[str, str, Mutant]]:
    """The mutants of a file, each with its name and its statement."""
    for statement in STATEMENT.finditer(source):
        functions = re.findall(r"\bfn (\w+)", source[: statement.start()])
        for make in (conditions, assignments, orders, words):
            for mutant in make(statement.group(1)):
                at = statement.start(1) + mutant.start
                line, column = source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)
                what = " ".join(mutant.what.split())
                function = functions[-1] if functions else path
                yield f"{path}:{line}:{column}: {what} in {function}", statement.group(1), mutant


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def added_lines(diff: str) -> set[tuple[str, int]]:
    """Files and numbers of the lines that a diff adds."""
    added, path, number = set(), "", 0
    with open(diff, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("+++ "):
                path = line[4:].strip().removeprefix("b/")
            elif hunk := re.match(r"@@ -\S+ \+(\d+)", line):
                number = int(hunk.group(1))
            elif line.startswith("+"):
                added.add((path, number))
                number += 1
            elif line.startswith(" "):
                number += 1
    return added


def list_mutants(arguments: list[str]) -> None:
    added = None
    if arguments[:1] == ["--in-diff"]:
        added, arguments = added_lines(arguments[1]), arguments[2:]
    with open(".cargo/mutants.toml", "rb") as file:
        excluded = [re.compile(expression) for expression in tomllib.load(file)["exclude_re"]]
    for path in arguments:
        for name, _, _ in mutants_in(read(path), path):
            line = int(name.split(":")[1])
            changed = added is None or (path, line) in added
            if changed and not any(expression.search(name) for expression in excluded):
                print(name)


def instrument(lib: str, paths: list[str]) -> None:
    for path in paths:
        source = STATEMENT.sub(lambda literal: f"crate::statement({literal.group()})", read(path))
        with open(path, "w", encoding="utf-8") as file:
            file.write(source + LOOK_UP if path == lib else source)


def as_said(literal: str) -> str:
    """A string of Rust as the program has it."""
    joined = re.sub(r"\\\n\s*", "", literal)
    return re.sub(r"\\(.)", r"\1", joined)


def run(path: str, name: str, command: list[str]) -> None:
    found = {known: (text, mutant) for known, text, mutant in mutants_in(read(path), name.split(":")[0])}
    text, mutant = found[name]
    mutated = text[: mutant.start] + mutant.new + text[mutant.end :]
    environment = os.environ | {"MUTANT_OF": as_said(text), "MUTANT": as_said(mutated)}
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    word, *rest = sys.argv[1:]
    if word == "list":
        list_mutants(rest)
    elif word == "instrument":
        instrument(rest[0], rest[1:])
    else:
        run(rest[0], rest[1], rest[2:])
