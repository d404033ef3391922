"""Usernames that are some, and keys of their own for requests that are not meant to be repeats.

Where the document gives an example, many requests are made with it. With one and the same Idempotency-Key nearly all of them would
be refused with 422, and what they ask for never be tried. Every fifth keeps it: repeats are to be tried as well.
"""

import random
import uuid

import schemathesis
from hypothesis import strategies

# RFC 8265: not every text is a username, and what is one no JSON Schema can tell.
LETTERS = "abcXYZ019._-@éßжя漢"
schemathesis.openapi.format("username", strategies.text(LETTERS, min_size=1, max_size=64))

EXAMPLE = "8e03978e-40d5-43e8-bc93-6894a57f9324"
drawn = random.Random(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    if (case.headers or {}).get("Idempotency-Key") == EXAMPLE and drawn.random() < 0.8:
        case.headers["Idempotency-Key"] = str(uuid.UUID(int=drawn.getrandbits(128), version=4))
