"""Usernames that are some, keys of their own for requests that are not meant to be repeats, and bookings that are there.

Where the document gives an example, many requests are made with it. With one and the same Idempotency-Key nearly all of them would
be refused with 422, and what they ask for never be tried. Every fifth keeps it: repeats are to be tried as well.

The first orders of a new database are no bookings, and events are there only when somebody has named them. So where schemathesis.toml
has put one of its few ids, it is made the id of a booking, and of an event with seats.
"""

import random
import uuid

import requests
import schemathesis
from hypothesis import strategies

# RFC 8265: not every text is a username, and what is one no JSON Schema can tell.
LETTERS = "abcXYZ019._-@éßжя漢"
schemathesis.openapi.format("username", strategies.text(LETTERS, min_size=1, max_size=64))

EXAMPLE = "8e03978e-40d5-43e8-bc93-6894a57f9324"
# The dictionary `ids`, as events: two with seats for some, and one that is sold out.
SEATS = {1: 100, 2: 100, 3: 0}
drawn = random.Random(1)
# Gateways whose events are there, and the bookings that they have told of.
with_events, bookings = set(), []


@schemathesis.hook
def before_call(context, case, kwargs):
    if (case.headers or {}).get("Idempotency-Key") == EXAMPLE and drawn.random() < 0.8:
        case.headers["Idempotency-Key"] = str(uuid.UUID(int=drawn.getrandbits(128), version=4))
    if case.operation.label == "POST /bookings":
        name_events(case.operation.base_url)
    elif case.operation.path == "/bookings/{orderId}" and bookings:
        # A number, or already written as one.
        if str(case.path_parameters.get("orderId")) in map(str, SEATS):
            case.path_parameters["orderId"] = drawn.choice(bookings)


@schemathesis.hook
def after_call(context, case, response):
    # Refused ones are bookings, too: their problem has the order.
    if case.operation.label == "POST /bookings" and "json" in response.headers["content-type"][0]:
        bookings.extend(order for order in [response.json().get("orderId")] if order)


def name_events(gateway):
    """Once, before the first booking."""
    if gateway not in with_events:
        with_events.add(gateway)
        for event, capacity in SEATS.items():
            requests.put(f"{gateway.rstrip('/')}/tickets/{event}", json={"capacity": capacity}, timeout=40).raise_for_status()
