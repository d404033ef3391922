"""Places orders by message, and hears how they ended, with CloudEvents SDKs of others: events.py ORDER_DOCUMENT GATEWAY.

Topics, types, keys and schemas are what the order service's AsyncAPI document says; the brokers and the topics' prefix are what
an operator would tell. JAVA_PEER is the command that runs java/Peer.java.
"""

import json
import os
import shlex
import subprocess
import sys
import uuid

from cloudevents.core.bindings import kafka as core
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import kafka as v1
from cloudevents.v1.http import CloudEvent as CloudEventV1

from documented import Documented
from installation import ANSWER_MAX_S, Listener, ask, brokers, say

document = Documented(sys.argv[1], "OrderCreationRequested")
gateway = sys.argv[2]
TYPE = document.type_of(document.binary)
((REPLY_TYPE, REPLY),) = document.replies.items()


def core_binary(event, key):
    return core.to_binary_event(CloudEvent(*parts(event)), key_mapper=lambda _: key)


def core_structured(event, key):
    return core.to_structured_event(CloudEvent(*parts(event)), key_mapper=lambda _: key)


def v1_binary(event, key):
    return v1.to_binary(event_v1(event), key_mapper=lambda _: key)


def v1_structured(event, key):
    # This binding takes the content type of the message from the event's data, and leaves it out without.
    event = event | {"datacontenttype": "application/cloudevents+json"}
    return v1.to_structured(event_v1(event), key_mapper=lambda _: key)


def event_v1(event):
    attributes, data = parts(event)
    # It would make up a time.
    return CloudEventV1({"time": None} | attributes, data)


def parts(event):
    return {name: value for name, value in event.items() if name != "data"}, event["data"]


def read_core(message):
    event = core.from_kafka_event(core.KafkaMessage(dict(message.headers()), message.key(), message.value()))
    return event.get_attributes(), event.get_data()


def read_v1(message):
    headers = dict(message.headers())
    # This binding does not find out by itself which mode it is. What we say ourselves is on the topic, too.
    from_mode = v1.from_binary if "ce_specversion" in headers else v1.from_structured
    event = from_mode(v1.KafkaMessage(headers, message.key(), message.value()))
    return event.get_attributes(), event.get_data()


def with_python(write, read):
    """Says an event with one of the SDK's bindings and waits for the answer, which it reads with the same one."""

    def exchange(event, key):
        hears = Listener(brokers["prefix"] + document.reply_topic)
        message = write(event, key)
        # A second time, as after a crash of the producer: it has no second effect.
        say(brokers["prefix"] + document.topic, message.value, message.key, dict(message.headers), times=2)
        for answer in hears.hear():
            attributes, data = read(answer)
            if attributes["type"] == REPLY_TYPE and attributes["correlationid"] == event["correlationid"]:
                hears.close()
                headers = {name: value.decode() for name, value in answer.headers()}
                document.conforms(headers, REPLY["headers"])
                return data
        raise AssertionError(f"nobody answered {event} within {ANSWER_MAX_S} s")

    return exchange


def with_java(encoding):
    """The same with the SDK for Java."""

    def exchange(event, key):
        topics = [brokers["prefix"] + topic for topic in (document.topic, document.reply_topic)]
        peer = [*shlex.split(os.environ["JAVA_PEER"]), brokers["servers"], topics[0], key, encoding, topics[1], REPLY_TYPE]
        ended = subprocess.run(peer, input=json.dumps(event).encode(), capture_output=True, timeout=3 * ANSWER_MAX_S)
        assert ended.returncode == 0, ended.stderr.decode()
        return json.loads(ended.stdout)["data"]

    return exchange


def place_order(exchange, user, minor_units):
    """An order by message, whose id is no UUID; a binding may add a time. Says how it ended."""
    event = {
        "specversion": "1.0",
        "id": f"order {uuid.uuid4().hex[:8]} / ключ",
        "source": "https://shop.example.org/tests",
        "type": TYPE,
        "correlationid": str(uuid.uuid4()),
        "datacontenttype": "application/json",
        "data": {"userId": user, "price": {"amount": f"0.{minor_units}", "currency": "RUB"}},
    }
    document.conforms(event, document.structured["payload"])
    document.conforms(event["data"], document.binary["payload"])
    data = exchange(event, str(user))
    document.conforms(data, REPLY["payload"])
    return ask(f"{gateway}/orders/{data['orderId']}")


def check(name, exchange):
    body = {"username": uuid.uuid4().hex, "password": "correct horse", "email": f"{uuid.uuid4().hex}@example.org"}
    user = ask(f"{gateway}/billing/user", "POST", body)["userId"]
    ask(f"{gateway}/billing/deposit/{user}", "POST", {"amount": 100})
    ended = [place_order(exchange, user, 90) for _ in range(2)]
    told = [(order["userId"], order["price"], order["status"], order["reason"]) for order in ended]
    assert told == [(user, 90, "paid", None), (user, 90, "rejected", "insufficient-funds")], told
    assert ask(f"{gateway}/billing/user/{user}")["balance"] == 10
    orders = ask(f"{gateway}/orders?userId={user}")
    assert [order["id"] for order in orders] == [order["id"] for order in ended], orders
    print(f"{name}: paid, then rejected")


check("Python, core, binary", with_python(core_binary, read_core))
check("Python, core, structured", with_python(core_structured, read_core))
check("Python, v1, binary", with_python(v1_binary, read_v1))
check("Python, v1, structured", with_python(v1_structured, read_v1))
check("Java, binary", with_java("BINARY"))
check("Java, structured", with_java("STRUCTURED"))
