"""Mutants of the SQL statements in Rust files: what a statement asks for is half of the store, and cargo-mutants sees a string.

    statements.py list [--in-diff DIFF] FILE...   names them, one a line: FILE:LINE:COLUMN: what is changed, in which function
    statements.py apply NAME                      makes that change in its FILE

Of those in a diff, as `git diff` writes it, are the ones in lines that it adds. `exclude_re` in .cargo/mutants.toml holds here, too.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from typing import NamedTuple


class Mutant(NamedTuple):
    start: int
    end: int
    new: str
    what: str


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


def mutants_in(path: str) -> Iterator[tuple[str, Mutant]]:
    """The mutants of a file, where they are in it, each with its name."""
    with open(path, encoding="utf-8") as file:
        source = file.read()
    for statement in STATEMENT.finditer(source):
        functions = re.findall(r"\bfn (\w+)", source[: statement.start()])
        for make in (conditions, assignments, orders, words):
            for mutant in make(statement.group(1)):
                start, end = statement.start(1) + mutant.start, statement.start(1) + mutant.end
                line, column = source.count("\n", 0, start) + 1, start - source.rfind("\n", 0, start)
                what = " ".join(mutant.what.split())
                name = f"{path}:{line}:{column}: {what} in {functions[-1] if functions else path}"
                yield name, Mutant(start, end, mutant.new, what)


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
        for name, _ in mutants_in(path):
            line = int(name.split(":")[1])
            changed = added is None or (path, line) in added
            if changed and not any(expression.search(name) for expression in excluded):
                print(name)


def apply(name: str) -> None:
    path = name.split(":")[0]
    mutant = dict(mutants_in(path))[name]
    with open(path, encoding="utf-8") as file:
        source = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(source[: mutant.start] + mutant.new + source[mutant.end :])


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "list":
        list_mutants(rest)
    else:
        apply(*rest)
