"""The page docs/EVOLUTION.md."""

HEAD = """# What may change

For whoever changes an API of ours. The table says what each kind of change breaks for programs that were built before it: those that
read our `.proto` files (gRPC), our OpenAPI documents (JSON over HTTP) and our AsyncAPI documents (JSON in messages).

Everything in the table was tried. `tests/infra/proto/run` makes each change in a copy of the documents, and compares what happens with
what is written here. This page is made of [`changes.toml`](../tests/infra/proto/changes.toml).

- **buf breaking** has categories of rules. FILE is the strictest, and the one that CI uses. WIRE asks only whether the bytes can still be
  read. WIRE_JSON adds the names, which JSON needs.
- **old** is a program that was built before the change, **new** one that was built after it. One writes a message, and the other
  reads it. For Protocol Buffers the table says what is read differently: with `price_minor: 90 -> absent`, 90 was written, and nothing
  is read. For JSON it says whether what was written is valid for the reader's schema. A reader that checks less may go on where
  the table says no.

| change | `buf breaking` | Protocol Buffers | JSON over HTTP | JSON in messages |
|---|---|---|---|---|
"""


def page(changes):
    rows = "".join(f"| {' | '.join(cells(change))} |\n" for change in changes)
    meanings = "".join(f"- **{change['name']}.** {change['means']}\n" for change in changes)
    return f"{HEAD}{rows}\n## What follows\n\n{meanings}"


def cells(change):
    proto = change["proto"]
    return change["name"], verdicts(proto["buf"]), reading(proto), validity(change, "http"), validity(change, "message")


def verdicts(buf):
    refusing = [f"{category} ({', '.join(rules)})" for category, rules in buf.items() if rules]
    passing = [category for category, rules in buf.items() if not rules]
    if not refusing:
        return "passes"
    refused = f"refused by {', '.join(refusing)}"
    return f"{refused}; not by {' and '.join(passing)}" if passing else refused


def reading(proto):
    if "type" not in proto:
        return "-"
    if not proto["old_reads"] and not proto["new_reads"]:
        return "read as they are"
    sides = [("old", proto["old_reads"]), ("new", proto["new_reads"])]
    return "; ".join(f"{side} reads {f'`{seen}`' if seen else 'what was written'}" for side, seen in sides)


def validity(change, kind):
    part = change.get(kind)
    if part is None:
        return "-"
    verdict = {(True, True): "valid both ways", (True, False): "not valid for new", (False, True): "not valid for old",
               (False, False): "not valid either way"}
    return verdict[part["old_reads"], part["new_reads"]]
