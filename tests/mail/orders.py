"""Users with international addresses order, and their emails arrive as they should: orders.py GATEWAY, called by server.py."""

import json
import os
import sys
import time
import urllib.request
import uuid

gateway = sys.argv[1]
speaks_smtputf8 = os.environ["ANNOUNCES"] == "SMTPUTF8"
DEADLINE_S = 30


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(gateway + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=40) as answer:
        return json.load(answer)


def email_after_an_order(address):
    """Registers a user with the address, has the user order, and waits until the email about it is sent or has failed."""
    user = ask("POST", "/billing/user", {"username": uuid.uuid4().hex, "password": "correct horse", "email": address})
    user = user["userId"]
    shown = ask("GET", f"/billing/user/{user}")["email"]
    assert shown == address, f"{address} is shown as {shown}"
    ask("POST", f"/billing/deposit/{user}", {"amount": 90})
    ask("POST", "/orders", {"userId": user, "price": 90})
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        emails = ask("GET", f"/notification/email/{user}")
        if emails and emails[0]["status"] in ("sent", "failed"):
            return emails[0]
        time.sleep(0.1)
    raise AssertionError(f"no email to {address} was sent within {DEADLINE_S} s: {emails}")


def received():
    with open(os.environ["RECEIVED"], encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def check(address, wire, needs_smtputf8):
    before = len(received())
    email = email_after_an_order(address)
    assert email["email"] == address, email
    arrived = received()[before:]
    if needs_smtputf8 and not speaks_smtputf8:
        # At once, and for good.
        assert email["status"] == "failed" and not arrived, (email, arrived)
    else:
        assert email["status"] == "sent" and len(arrived) == 1, (email, arrived)
        assert arrived[0]["recipients"] == [wire] and arrived[0]["to"] == wire, arrived
        assert arrived[0]["smtputf8"] == needs_smtputf8, arrived
    print(f"{address}: {email['status']}, as {wire}")


check("ann@example.org", "ann@example.org", needs_smtputf8=False)
check("ann@bücher.example", "ann@xn--bcher-kva.example", needs_smtputf8=False)
check("анна@почта.example", "анна@xn--80a1acny.example", needs_smtputf8=True)
