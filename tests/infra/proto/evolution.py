"""Makes each change of changes.toml and holds what happens against what the file says; then the page that is made of it.

    evolution.py BUF SCRATCH [--write]

BUF is the program, SCRATCH an empty directory. With --write the page is written, else it has to be what it would be.
"""

import copy
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from page import page

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PROTOS = ROOT / "api-specs/grpc"
DOCUMENTS = {
    "http": ROOT / "api-specs/restful/gateway.openapi.yaml",
    "message": ROOT / "api-specs/event-collab/order.asyncapi.yaml",
}
BUF, SCRATCH = sys.argv[1], Path(sys.argv[2])


def buf(*arguments):
    return subprocess.run([BUF, *arguments], capture_output=True, text=True)


def edited(edits):
    """A copy of the .proto files with `edits`."""
    directory = SCRATCH / "changed"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(PROTOS, directory)
    for name, text, instead in edits:
        file = directory / name
        before = file.read_text() if file.exists() else ""
        assert text in before, f"{name} has no {text!r}"
        file.write_text(before.replace(text, instead) if text else instead)
    return directory


def refused_by(directory, category):
    """The rules of `category` that refuse `directory` after what is there now."""
    config = json.dumps({"version": "v2", "breaking": {"use": [category]}})
    ended = buf("breaking", directory, "--against", PROTOS, "--config", config, "--against-config", config,
                "--error-format", "json")
    # It ends with 100 when a rule refuses, and with another code when it could not look.
    assert ended.returncode in (0, 100), ended.stderr + ended.stdout
    rules = {json.loads(line)["type"] for line in ended.stdout.splitlines()}
    assert bool(rules) == (ended.returncode == 100), ended.stdout
    return sorted(rules)


class Program:
    """A program that was built with the .proto files of `directory`."""

    def __init__(self, directory):
        image = SCRATCH / "image.binpb"
        built = buf("build", directory, "--output", image)
        assert built.returncode == 0, built.stderr + built.stdout
        self.pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file:
            self.pool.Add(file)

    def _message(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def write(self, name, fields):
        return json_format.ParseDict(fields, self._message(name)(), descriptor_pool=self.pool).SerializeToString()

    def read(self, name, written):
        message = self._message(name).FromString(written)
        return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=self.pool)


def differences(written, read):
    pairs = {name: (written.get(name, "absent"), read.get(name, "absent")) for name in sorted({*written, *read})}
    return ", ".join(f"{name}: {one} -> {other}" for name, (one, other) in pairs.items() if str(one) != str(other))


def samples(part, kind, by_name):
    """What the old program writes and what the new one does."""
    sample = by_name[kind]
    old = sample | part.get("old", {})
    new = {name: value for name, value in sample.items() if name not in part.get("new_without", [])}
    return nulls(old), nulls(new | part.get("new", {}))


def nulls(sample):
    """TOML has no null."""
    return {name: None if value == {"null": True} else value for name, value in sample.items()}


def observe_proto(part, by_type, before):
    directory = edited(part["edits"])
    observed = {"buf": {category: refused_by(directory, category) for category in part["buf"]}}
    after = Program(directory)
    if kind := part.get("type"):
        old, new = samples(part, kind, by_type)
        observed["old_reads"] = differences(new, before.read(kind, after.write(kind, new)))
        observed["new_reads"] = differences(old, after.read(kind, before.write(kind, old)))
    return observed


def changed(document, schema, part):
    """A copy of `document` whose `schema` is changed. A path that begins with / begins at the document's root."""
    document = copy.deepcopy(document)

    def step_to(path):
        at = document if path.startswith("/") else document["components"]["schemas"][schema]
        *steps, last = path.removeprefix("/components/schemas/").split(".")
        at = document["components"]["schemas"] if path.startswith("/") else at
        for step in steps:
            at = at[step]
        return at, last

    for path in part.get("remove", []):
        at, last = step_to(path)
        if isinstance(at, list):
            at.remove(last)
        else:
            del at[last]
    for path, value in part.get("set", {}).items():
        at, last = step_to(path)
        if last == "+":
            at.append(value)
        else:
            at[last] = value
    return document


def observe_schema(part, by_schema, document):
    schema = part["schema"]
    old, new = samples(part, schema, by_schema)
    after = changed(document, schema, part)
    assert after != document, "nothing has changed"
    for who, value, its in ("old", old, document), ("new", new, after):
        assert is_valid(value, schema, its), f"what the {who} one writes is not valid for itself: {value}"
    return {"old_reads": is_valid(new, schema, document), "new_reads": is_valid(old, schema, after)}


def is_valid(value, schema, document):
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return jsonschema.Draft202012Validator(whole).is_valid(value)


def main():
    said = tomllib.loads((HERE / "changes.toml").read_text())
    documents = {kind: yaml.safe_load(path.read_text()) for kind, path in DOCUMENTS.items()}
    before = Program(PROTOS)
    wrong = 0
    for change in said["change"]:
        for kind in ("proto", *documents):
            if not (part := change.get(kind)):
                continue
            try:
                if kind == "proto":
                    observed = observe_proto(part, said["samples"][kind], before)
                else:
                    observed = observe_schema(part, said["samples"][kind], documents[kind])
            except (AssertionError, KeyError, ValueError) as error:
                observed = {"failure": repr(error)}
            expected = {name: part.get(name) for name in observed}
            if observed != expected:
                wrong += 1
                print(f"{change['name']}, {kind}:\n  said     {expected}\n  happened {observed}")
    text, file = page(said["change"]), ROOT / "docs/EVOLUTION.md"
    if "--write" in sys.argv:
        file.write_text(text)
    elif file.read_text() != text:
        wrong += 1
        print("docs/EVOLUTION.md is not what changes.toml says; UPDATE_SPECS=1 tests/infra/proto/run writes it")
    print(f"{len(said['change'])} changes, {wrong} surprises")
    sys.exit(1 if wrong else 0)


main()
