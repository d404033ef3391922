"""The scenario as somebody runs it with a client that openapi-python-client has made of the gateway's document: scenario.py GATEWAY.

The package `client` is that client.
"""

import sys
import time
import uuid
from http import HTTPStatus

from client import Client
from client.api.billing import create_user, deposit, get_user, update_profile
from client.api.notification import list_emails
from client.api.orders import create_order, get_order, get_order_request, list_orders
from client.models import (
    CreateOrderRequest,
    CreateUserRequest,
    DepositRequest,
    Order,
    OrderCreated,
    Problem,
    Profile,
    RequestAccepted,
)

DEADLINE_S = 30

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True, timeout=40)


def succeeds(answer, status):
    assert answer.status_code == status, (answer.status_code, answer.content)
    return answer.parsed


def eventually(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


name = uuid.uuid4().hex
registration = CreateUserRequest(username=name, password="correct horse", email=f"{name}@example.org")
user = succeeds(create_user.sync_detailed(client=client, body=registration), HTTPStatus.CREATED).user_id
taken = succeeds(create_user.sync_detailed(client=client, body=registration), HTTPStatus.CONFLICT)
assert isinstance(taken, Problem) and taken.code == "username-taken", taken
paid_in = succeeds(deposit.sync_detailed(user, client=client, body=DepositRequest(amount=100)), HTTPStatus.OK)
assert paid_in.balance == 100, paid_in

order = CreateOrderRequest(user_id=user, price=90)
created = succeeds(create_order.sync_detailed(client=client, body=order, idempotency_key=name), HTTPStatus.CREATED)
again = succeeds(create_order.sync_detailed(client=client, body=order, idempotency_key=name), HTTPStatus.CREATED)
assert isinstance(created, OrderCreated) and created == again, (created, again)
paid = succeeds(get_order.sync_detailed(created.order_id, client=client), HTTPStatus.OK)
assert (paid.status, paid.reason, paid.price) == ("paid", None, 90), paid

refused = succeeds(create_order.sync_detailed(client=client, body=order), HTTPStatus.PRECONDITION_FAILED)
assert refused.code == "insufficient-funds" and isinstance(refused.order_id, int), refused
accepted = succeeds(
    create_order.sync_detailed(client=client, body=order, prefer="respond-async"), HTTPStatus.ACCEPTED
)
assert isinstance(accepted, RequestAccepted), accepted


def ended():
    found = get_order_request.sync_detailed(accepted.request_id, client=client).parsed
    return found if isinstance(found, Order) else None


rejected = eventually(ended)
assert (rejected.status, rejected.reason) == ("rejected", "insufficient-funds"), rejected
orders = succeeds(list_orders.sync_detailed(client=client, user_id=user), HTTPStatus.OK)
assert [order.id for order in orders] == [created.order_id, refused.order_id, rejected.id], orders

profile = Profile(first_name="Ann", last_name=None, email=f"{name}@example.org", phone=None)
updated = succeeds(update_profile.sync_detailed(user, client=client, body=profile, if_match="*"), HTTPStatus.OK)
assert (updated.first_name, updated.version) == ("Ann", 2), updated
assert succeeds(get_user.sync_detailed(user, client=client), HTTPStatus.OK).balance == 10


def sent():
    emails = succeeds(list_emails.sync_detailed(user, client=client), HTTPStatus.OK)
    return emails if len(emails) == 3 and all(email.status == "sent" for email in emails) else None


titles = sorted(email.title for email in eventually(sent))
assert titles == ["Not enough money", "Not enough money", "Order is paid"], titles
print("openapi-python-client: the scenario holds")
