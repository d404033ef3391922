"""The scenario as somebody runs it with gRPC for Python (grpcio) and code generated of the .proto files: rpc.py GATEWAY.

The packages `billing`, `order` and `notification` are that code. The addresses of the services are BILLING_URL, ORDER_URL and
NOTIFICATION_URL (`http://host:port` or `host:port`), or those that a running sandbox has written down. The services run on this
machine: some of them are stopped and started here.
"""

import json
import sys
import threading
import time
import urllib.request
import uuid
from collections import Counter

import grpc
from billing.v1 import billing_pb2 as billing
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from notification.v1 import notification_pb2 as notification
from order.v1 import order_pb2 as order

from rpc_peer import Peer, Refused, refusal

DEADLINE_S = 10
ANSWER_MAX_S = 30
UNKNOWN = 9_000_000_000_000_000
TOO_LATE = 60

services = billing_service, _, _ = Peer("billing"), Peer("order"), Peer("notification")
to_billing, to_order, to_notification = (service.stub for service in services)


def new_request():
    return str(uuid.uuid4())


def call(rpc, request, deadline_s=DEADLINE_S):
    return rpc(request, timeout=deadline_s)


def eventually(condition):
    deadline = time.monotonic() + ANSWER_MAX_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def register(**other):
    name = uuid.uuid4().hex
    profile = billing.Profile(email=other.pop("email", f"{name}@example.org"))
    request = {"request_id": new_request(), "username": name, "password": "correct horse", "profile": profile} | other
    request = billing.CreateUserRequest(**request)
    return call(to_billing.CreateUser, request).user_id, request


def look_up(user):
    return call(to_billing.GetUser, billing.GetUserRequest(user_id=user)).user


def update(user, **other):
    request = {"request_id": new_request(), "user_id": user} | other
    return call(to_billing.UpdateProfile, billing.UpdateProfileRequest(**request)).user


def deposit(user, amount_minor, **other):
    request = {"request_id": new_request(), "user_id": user, "amount_minor": amount_minor} | other
    return call(to_billing.Deposit, billing.DepositRequest(**request)).balance_minor


def withdraw(user, amount_minor, **other):
    request = {"request_id": new_request(), "user_id": user, "amount_minor": amount_minor} | other
    return call(to_billing.Withdraw, billing.WithdrawRequest(**request)).balance_minor


def send(user, **other):
    request = {"request_id": new_request(), "user_id": user, "email": "a@example.org", "title": "T", "message": "M"} | other
    return call(to_notification.SendEmail, notification.SendEmailRequest(**request)).email_id


def create_user(deposited_minor):
    user, request = register()
    assert deposit(user, deposited_minor) == deposited_minor
    return user, request


def place_order(user, price_minor, **more):
    request = order.CreateOrderRequest(user_id=user, price_minor=price_minor, **{"request_id": new_request(), **more})
    return call(to_order.CreateOrder, request)


def balance_of(user):
    return look_up(user).balance_minor


def orders_of(user):
    return call(to_order.ListOrders, order.ListOrdersRequest(user_id=user, limit=100)).orders


def orders_are_placed_and_read():
    user, registration = create_user(100)
    key = new_request()
    paid = place_order(user, 90, request_id=key).paid.order_id
    assert place_order(user, 90, request_id=key).paid.order_id == paid, "a repeat has another outcome"
    read = call(to_order.GetOrder, order.GetOrderRequest(order_id=paid)).order
    assert (read.user_id, read.price_minor, read.status) == (user, 90, order.ORDER_STATUS_PAID), read
    assert not read.HasField("reason") and read.updated_at.ToNanoseconds() >= read.created_at.ToNanoseconds(), read
    assert call(to_order.GetOrderByRequest, order.GetOrderByRequestRequest(request_id=key)).order == read
    over_http = json.load(urllib.request.urlopen(f"{sys.argv[1]}/orders/{paid}", timeout=DEADLINE_S))
    assert (over_http["id"], over_http["price"], over_http["status"]) == (paid, 90, "paid"), over_http

    later = place_order(user, 90, respond_async=True).accepted.request_id
    by_request = order.GetOrderByRequestRequest(request_id=later)
    rejected = eventually(lambda: ended(call(to_order.GetOrderByRequest, by_request)))
    assert rejected.status == order.ORDER_STATUS_REJECTED, rejected
    assert rejected.reason == order.REJECTION_REASON_INSUFFICIENT_FUNDS, rejected
    first = call(to_order.ListOrders, order.ListOrdersRequest(user_id=user, limit=1))
    last = call(to_order.ListOrders, order.ListOrdersRequest(user_id=user, limit=1, after=first.next_after))
    assert [*first.orders, *last.orders] == [read, rejected] and not last.HasField("next_after"), (first, last)

    found = call(to_billing.GetRequest, billing.GetRequestRequest(request_id=registration.request_id)).request
    assert (found.operation, found.user_id) == (billing.FinishedRequest.OPERATION_CREATE_USER, user), found
    assert not call(to_billing.GetRequest, billing.GetRequestRequest(request_id=new_request())).HasField("request")
    registration.profile.first_name = "Ann"
    updated = update(user, profile=registration.profile, if_version=1)
    assert updated == look_up(user)
    assert (updated.version, updated.balance_minor, updated.profile.first_name) == (2, 10, "Ann"), updated
    assert not updated.profile.HasField("phone"), updated
    emails = eventually(lambda: all_sent(user, 2))
    assert sorted(email.title for email in emails) == ["Not enough money", "Order is paid"], emails
    assert sorted(email.order_id for email in emails) == [paid, rejected.id], emails


def ended(answer):
    return answer.order if answer.HasField("order") else None


def all_sent(user, count):
    emails = call(to_notification.ListEmails, notification.ListEmailsRequest(user_id=user)).emails
    return len(emails) == count and all(email.status == notification.EMAIL_STATUS_SENT for email in emails) and emails


def every_refusal_says_why():
    user, taken = create_user(100)
    key, paid_key = new_request(), new_request()
    paid = place_order(user, 50, request_id=paid_key).paid.order_id
    deposit(user, 1, request_id=key)
    mail_key = new_request()
    send(user, request_id=mail_key)
    other, _ = create_user(1)
    field, any_order, this_order = "field", {"orderId": None}, {"orderId": str(paid)}
    for status, reason, metadata, refused in [
        ("ALREADY_EXISTS", "username-taken", {}, lambda: register(username=taken.username)),
        ("ALREADY_EXISTS", "email-taken", {}, lambda: register(email=taken.profile.email)),
        ("ABORTED", "idempotency-key-reused", {}, lambda: register(request_id=key)),
        ("INVALID_ARGUMENT", "invalid-request", {field: "request_id"}, lambda: register(request_id="no UUID")),
        ("NOT_FOUND", "not-found", {}, lambda: look_up(UNKNOWN)),
        ("NOT_FOUND", "not-found", {}, lambda: update(UNKNOWN, profile=taken.profile)),
        ("ALREADY_EXISTS", "email-taken", {}, lambda: update(other, profile=taken.profile)),
        ("FAILED_PRECONDITION", "version-mismatch", {}, lambda: update(user, profile=taken.profile, if_version=7)),
        ("NOT_FOUND", "account-not-found", {}, lambda: deposit(UNKNOWN, 1)),
        ("INVALID_ARGUMENT", "balance-overflow", {field: "amount_minor"}, lambda: deposit(user, 2**53 - 1)),
        ("INVALID_ARGUMENT", "invalid-request", {field: "amount_minor"}, lambda: deposit(user, 0)),
        ("ABORTED", "idempotency-key-reused", {}, lambda: deposit(user, 2, request_id=key)),
        ("NOT_FOUND", "account-not-found", {}, lambda: withdraw(UNKNOWN, 1)),
        ("FAILED_PRECONDITION", "insufficient-funds", {}, lambda: withdraw(user, 1000)),
        ("ALREADY_EXISTS", "order-already-charged", this_order, lambda: withdraw(user, 50, order_id=paid)),
        ("ABORTED", "idempotency-key-reused", {}, lambda: withdraw(user, 1, request_id=key)),
        ("NOT_FOUND", "account-not-found", any_order, lambda: place_order(UNKNOWN, 1)),
        ("FAILED_PRECONDITION", "insufficient-funds", any_order, lambda: place_order(user, 1000)),
        ("ABORTED", "idempotency-key-reused", {}, lambda: place_order(user, 51, request_id=paid_key)),
        ("INVALID_ARGUMENT", "invalid-request", {field: "price_minor"}, lambda: place_order(user, -1)),
        ("INVALID_ARGUMENT", "invalid-request", {field: "wait"}, lambda: place_order(user, 1, wait=Duration(seconds=-1))),
        ("NOT_FOUND", "not-found", {}, lambda: call(to_order.GetOrder, order.GetOrderRequest(order_id=UNKNOWN))),
        ("INVALID_ARGUMENT", "invalid-request", {field: "limit"},
         lambda: call(to_order.ListOrders, order.ListOrdersRequest(limit=101))),
        ("ABORTED", "idempotency-key-reused", {}, lambda: send(user, request_id=mail_key, title="Another")),
        ("INVALID_ARGUMENT", "invalid-request", {field: "email"}, lambda: send(user, email="nowhere")),
        ("RESOURCE_EXHAUSTED", "body-too-large", {}, lambda: send(user, message="x" * 70_000)),
    ]:
        told = refusal(refused)
        order_id = told.metadata.get("orderId")
        if metadata is any_order and order_id is not None:
            metadata = {"orderId": order_id}
            exists = call(to_order.GetOrder, order.GetOrderRequest(order_id=int(order_id))).order
            assert exists.status == order.ORDER_STATUS_REJECTED, exists
        assert told == Refused(status, reason, metadata), (told, (status, reason, metadata))


def ask_too_late(user, deadline_s):
    """Orders whose deadline passes: under which keys, and how often each status was told."""
    keys = [new_request() for _ in range(TOO_LATE)]
    statuses = Counter()
    for key in keys:
        request = order.CreateOrderRequest(request_id=key, user_id=user, price_minor=1)
        try:
            call(to_order.CreateOrder, request, deadline_s)
            statuses["OK"] += 1
        except grpc.RpcError as error:
            statuses[error.code().name] += 1
    return keys, statuses


def what_came_too_late_is_whole(user, keys):
    """A repeat finds the order that there is, or creates it; in the end there is one for each key, and it is paid."""
    paid = [place_order(user, 1, request_id=key).paid.order_id for key in keys]
    assert {read.id: read.status for read in orders_of(user)} == dict.fromkeys(paid, order.ORDER_STATUS_PAID)
    assert len(set(paid)) == TOO_LATE and balance_of(user) == 0, (paid, balance_of(user))


def a_deadline_that_passes_is_told():
    # So short that this library may send the call or not, and may see an answer first: its timers are not as fine.
    user, _ = create_user(TOO_LATE)
    keys, statuses = ask_too_late(user, 0.001)
    assert set(statuses) <= {"OK", "DEADLINE_EXCEEDED"}, statuses
    what_came_too_late_is_whole(user, keys)
    # The order service is well, and waits for billing: who tells first, its timer or the client's, is told the same.
    user, _ = create_user(TOO_LATE)
    with billing_service.process().hangs():
        keys, statuses = ask_too_late(user, 0.1)
    assert statuses == {"DEADLINE_EXCEEDED": TOO_LATE}, statuses
    what_came_too_late_is_whole(user, keys)


def health_is_told():
    for service in services:
        for name in ("", service.service_name):
            told = service.health.Check(health_pb2.HealthCheckRequest(service=name), timeout=DEADLINE_S)
            assert told.status == health_pb2.HealthCheckResponse.SERVING, (service.service_name, name, told)
        unknown = health_pb2.HealthCheckRequest(service="no.such.Service")
        try:
            raise AssertionError(service.health.Check(unknown, timeout=DEADLINE_S))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
        # The protocol: an unknown service is told as such, and the stream goes on.
        watch = service.health.Watch(unknown, timeout=DEADLINE_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()


def reflection_shows_what_the_files_say():
    for service in services:
        reflected = ProtoReflectionDescriptorDatabase(service.channel)
        names = set(reflected.get_services())
        assert names >= {service.service_name, "grpc.health.v1.Health"}, names
        file = reflected.FindFileContainingSymbol(service.service_name)
        (declared,) = (it for it in file.service if f"{file.package}.{it.name}" == service.service_name)
        ours = service.descriptor
        assert [(it.name, it.input_type, it.output_type) for it in declared.method] == [
            (it.name, f".{it.input_type.full_name}", f".{it.output_type.full_name}") for it in ours.methods
        ], declared


def a_rolling_restart_fails_no_order():
    user, _ = create_user(1_000_000)
    over, orders, failures = threading.Event(), [], []

    def place_orders():
        while not over.is_set():
            request = order.CreateOrderRequest(request_id=new_request(), user_id=user, price_minor=1)
            try:
                answer = to_order.CreateOrder(request, timeout=ANSWER_MAX_S, wait_for_ready=True)
                orders.append(answer.paid.order_id or answer.accepted.request_id)
            except grpc.RpcError as error:
                failures.append(f"{error.code().name}: {error.details()}")

    placing = [threading.Thread(target=place_orders) for _ in range(4)]
    for thread in placing:
        thread.start()
    try:
        for service in services:
            before = len(orders)
            service.process().restart()
            service.is_ready()
            eventually(lambda before=before: failures or len(orders) > before + 10)
    finally:
        over.set()
        for thread in placing:
            thread.join()
    assert not failures, f"{len(orders)} orders, {len(failures)} failures: {failures[:3]}"
    assert len(set(orders)) == len(orders), "an order was created twice"
    # Of an order that was accepted the end is not known yet.
    eventually(lambda: balance_of(user) == 1_000_000 - len(orders))
    print(f"rpc.py: {len(orders)} orders while the services were restarted")


orders_are_placed_and_read()
every_refusal_says_why()
health_is_told()
reflection_shows_what_the_files_say()
a_deadline_that_passes_is_told()
a_rolling_restart_fails_no_order()
print("grpcio: the scenario holds")
