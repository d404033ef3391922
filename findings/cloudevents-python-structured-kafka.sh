#!/usr/bin/env bash
# Python's CloudEvents SDK writes structured Kafka messages that no receiver can know as structured.
#
# Versions: cloudevents 2.2.0 (PyPI), Python 3.11.
#
# Expected: the Kafka protocol binding of CloudEvents 1.0.2 (section 3.3.1) has a structured message say so in its header
#   `content-type`, for instance `application/cloudevents+json`; a receiver tells the two modes apart by nothing else (section 3).
#   The package has two bindings, `v1` (the interface of 1.x) and `core`. Both should write that header.
# Seen: `core` does. `v1` copies the type of the data into the header: `application/json` where the event has a
#   `datacontenttype`, and no header at all where it has none. It also leaves `datacontenttype` out of the event. So a receiver has to
#   take the message for a binary one, and the SDK's own `from_binary` then finds neither source nor type. Only a program that
#   knows the mode beforehand reads it, with `from_structured`.
#
# For a producer: use `core`, or set the header `content-type: application/cloudevents+json` after `to_structured`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet cloudevents==2.2.0
"$work/venv/bin/python" - << 'PYTHON' | tee "$work/seen"
from cloudevents.core.bindings.kafka import to_structured_event
from cloudevents.core.v1.event import CloudEvent as CoreEvent
from cloudevents.v1.exceptions import MissingRequiredFields
from cloudevents.v1.http import CloudEvent
from cloudevents.v1.kafka import from_binary, to_structured

attributes = {"id": "1", "source": "/shop", "type": "Ordered", "specversion": "1.0"}
typed = attributes | {"datacontenttype": "application/json"}

print("v1, data of a type:", to_structured(CloudEvent(dict(typed), {"n": 1})).headers)
print("v1, data of no type:", to_structured(CloudEvent(dict(attributes), {"n": 1})).headers)
print("v1 keeps the type:", b"datacontenttype" in to_structured(CloudEvent(dict(typed), {"n": 1})).value)
print("core:", to_structured_event(CoreEvent(dict(typed), {"n": 1})).headers)
try:
    from_binary(to_structured(CloudEvent(dict(typed), {"n": 1})))
except MissingRequiredFields as error:
    print("read by its header:", type(error).__name__)
PYTHON
diff "$work/seen" - << 'EXPECTED'
v1, data of a type: {'content-type': b'application/json'}
v1, data of no type: {}
v1 keeps the type: False
core: {'content-type': b'application/cloudevents+json'}
read by its header: MissingRequiredFields
EXPECTED
echo "still so"
