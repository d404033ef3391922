"""Has billing withdraw money and give it back, as somebody who has nothing to do with orders: commands.py BILLING_DOCUMENT GATEWAY.

Topics, types, headers and schemas are what billing's AsyncAPI document says. The replies come to a topic of this program's own, which an
operator has created for it.
"""

import json
import sys
import uuid

from cloudevents.core.bindings import kafka
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka.admin import AdminClient, NewTopic

from documented import Documented
from installation import ANSWER_MAX_S, Listener, ask, brokers, say

gateway = sys.argv[2]
withdraw, cancel = (Documented(sys.argv[1], kind) for kind in ("WithdrawMoney", "CancelWithdrawal"))
# Far from the orders of this installation.
ORDER = 4_000_000_000


def as_operator_create(topic):
    """What the document asks for: a topic that exists, and whose name begins as all of this installation do."""
    admin = AdminClient({"bootstrap.servers": brokers["servers"]})
    admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])[topic].result(ANSWER_MAX_S)
    return topic


address = as_operator_create(brokers["prefix"] + "lottery.replies")
hears = Listener(address)


def binary(document, event):
    """A command by hand, as the document writes it."""
    attributes = {name: value for name, value in event.items() if name != "data"}
    headers = {f"ce_{name}": value for name, value in attributes.items()} | {"content-type": "application/json"}
    assert headers[document.reply_header] == address
    document.conforms(headers, document.binary["headers"])
    document.conforms(event["data"], document.binary["payload"])
    return json.dumps(event["data"]), headers


def structured(document, event):
    """The same by the CloudEvents SDK, with the whole event in the body."""
    document.conforms(event, document.structured["payload"])
    attributes = {name: value for name, value in event.items() if name != "data"}
    message = kafka.to_structured_event(CloudEvent(attributes, event["data"]))
    return message.value, dict(message.headers)


def command(document, write, request, user, order, amount):
    """Sends a command twice, as after a crash of its sender, and says what the one reply to it is: its type, and its body."""
    event = {
        "specversion": "1.0",
        "id": f"draw {uuid.uuid4().hex[:8]} / тираж",
        "source": "https://lottery.example.org/draws",
        "type": document.type_of(document.binary),
        "correlationid": request,
        "replyto": address,
        "data": {"userId": user, "orderId": order, "price": {"amount": amount, "currency": "RUB"}},
    }
    value, headers = write(document, event)
    say(brokers["prefix"] + document.topic, value, str(user), headers, times=2)
    for message in hears.hear():
        headers = {name: text.decode() for name, text in message.headers()}
        # Nobody else is answered here, and nobody twice.
        told = (headers["ce_correlationid"], headers["ce_causationid"])
        assert told == (request, event["id"]), (told, event)
        reply = document.replies[headers["ce_type"]]
        document.conforms(headers, reply["headers"])
        body = json.loads(message.value())
        document.conforms(body, reply["payload"])
        assert body["orderId"] == order, body
        return headers["ce_type"], body
    raise AssertionError(f"nobody answered {event} within {ANSWER_MAX_S} s")


def check(name, write, order):
    email = f"{uuid.uuid4().hex}@example.org"
    body = {"username": uuid.uuid4().hex, "password": "correct horse", "email": email}
    user = ask(f"{gateway}/billing/user", "POST", body)["userId"]
    ask(f"{gateway}/billing/deposit/{user}", "POST", {"amount": 100})

    def has(balance):
        found = ask(f"{gateway}/billing/user/{user}")["balance"]
        assert found == balance, f"{found} instead of {balance}"

    request, refused, never = (str(uuid.uuid4()) for _ in range(3))
    kind, body = command(withdraw, write, request, user, order, "0.60")
    assert (kind, body) == ("MoneyWithdrawn", {"orderId": order, "contact": email}), (kind, body)
    has(40)
    kind, body = command(withdraw, write, refused, user, order + 1, "0.60")
    assert (kind, body["error"]["code"]) == ("WithdrawalRefused", "insufficient-funds"), (kind, body)
    kind, body = command(cancel, write, request, user, order, "0.60")
    assert (kind, body["refunded"]) == ("WithdrawalCancelled", {"amount": "0.60", "currency": "RUB"}), (kind, body)
    has(100)
    # Cancelled before it is asked for.
    kind, body = command(cancel, write, never, user, order + 2, "0.60")
    assert (kind, body.get("refunded")) == ("WithdrawalCancelled", None), (kind, body)
    kind, body = command(withdraw, write, never, user, order + 2, "0.60")
    assert (kind, body["error"]["code"]) == ("WithdrawalRefused", "cancelled"), (kind, body)
    has(100)
    print(f"{name}: withdrawn, refused, refunded, and cancelled before its time")


check("commands, binary", binary, ORDER)
check("commands, structured", structured, ORDER + 10)
assert not list(hears.hear(2)), "somebody is answered a second time"
hears.close()
