"""The script of `helm test`, run against a gateway that answers as the contract says: at once, or with 202 first, or wrongly."""

import http.server
import json
import os
import re
import subprocess
import threading

import pytest

from charts import STYLES, WITH_BOOKINGS, find, pods, render

# The homework's; and with bookings.
STEPS = {"restful": 8, "grpc": 8, "command-reply": 12}

# The script is the same with either, as test_helm_versions.py has it.
HELMS = ["helm4"]


class Gateway(http.server.ThreadingHTTPServer):
    """
    One user, kept in memory. `later`: how often an outcome is not known yet; `wrong`: what it does not do; `alone`: how often it
    says that it has not found a service yet, and until then it can do nothing.
    """

    def __init__(self, later=0, wrong=None, alone=0):
        self.later, self.wrong, self.alone = later, wrong, alone
        self.balance, self.orders, self.emails, self.outcomes, self.asked = 0, [], [], {}, {}
        self.seats = {}
        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def not_yet(self, what):
        self.asked[what] = self.asked.get(what, 0) + 1
        return self.asked[what] <= self.later

    def outcome(self, status, answer, request):
        """The answer itself, or 202 and the place where it will be."""
        if not self.later:
            return status, answer
        self.outcomes[f"r-{len(self.outcomes)}"] = request
        return 202, {"requestId": f"r-{len(self.outcomes) - 1}"}

    def email(self, title):
        if self.wrong != "email":
            self.emails.append(
                {"id": len(self.emails) + 1, "title": title, "message": "...", "status": "pending", "orderId": 1}
            )

    def create_order(self, price):
        enough = self.balance >= price or self.wrong == "overdraft"
        self.balance -= price if enough and self.wrong != "balance" else 0
        self.email("Order is paid" if enough else "Not enough money")
        return self.decided(price, None if enough else (412, "insufficient-funds"))

    def decided(self, price, refusal):
        """An order that is paid, or the status and the code of why it is not."""
        status, code = refusal or (201, None)
        order = {"id": len(self.orders) + 1, "userId": 1, "price": price, "status": "rejected" if code else "paid"}
        self.orders.append(order | {"reason": code})
        answer = {"type": f"/problems/{code}", "status": status, "code": code} if code else {}
        return self.outcome(status, answer | {"orderId": order["id"]}, self.orders[-1])

    def create_booking(self, price, event):
        seats = self.seats[event]
        if not seats["free"] and self.wrong != "oversold":
            return self.decided(price, (409, "sold-out"))
        seats["free"] -= 1
        seats["reserved" if self.wrong == "never sold" else "sold"] += 1
        return self.decided(price, None)

    def answer_about_bookings(self, method, path, body):
        if (method, path) == ("POST", "/bookings"):
            assert body["userId"] == 1
            return self.create_booking(body["price"], body["eventId"])
        if found := re.fullmatch(r"/bookings/(\d+)", path):
            return 200, self.orders[int(found[1]) - 1] | {"ticketId": 1, "steps": []}
        event = int(re.fullmatch(r"/tickets/(\d+)", path)[1])
        if method == "PUT":
            self.seats[event] = {"free": body["capacity"], "reserved": 0, "sold": 0}
            return 201, {"eventId": event, "capacity": body["capacity"]} | self.seats[event]
        seats = self.seats[event]
        if self.not_yet(path):
            seats = seats | {"reserved": seats["sold"], "sold": 0}
        return 200, {"eventId": event, "capacity": 1} | seats

    def answer(self, method, path, body):
        if path == "/ready":
            checks = {"billing": "up", "notification": "up", "order": "no address" if self.alone else "up"}
            self.alone = max(0, self.alone - 1)
            return (503 if self.not_yet(path) else 200), {"status": "up", "checks": checks}
        if self.alone:
            return 503, {"status": 503, "code": "unavailable"}
        if (method, path) == ("POST", "/billing/user"):
            assert {"username", "password", "email"} <= set(body)
            return self.outcome(201, {"userId": 1}, {"operation": "createUser", "userId": 1})
        if (method, path) == ("POST", "/billing/deposit/1"):
            self.balance += body["amount"]
            return self.outcome(200, {"balance": self.balance}, {"operation": "deposit", "balance": self.balance})
        if (method, path) == ("POST", "/orders"):
            assert body["userId"] == 1
            return self.create_order(body["price"])
        if found := re.fullmatch(r"/(?:orders|billing)/requests/(.*)", path):
            return (202, {"requestId": found[1]}) if self.not_yet(path) else (200, self.outcomes[found[1]])
        if found := re.fullmatch(r"/orders/(\d+)", path):
            return 200, self.orders[int(found[1]) - 1]
        if path == "/billing/user/1":
            return 200, {"id": 1, "username": "ann", "email": "ann@example.org", "balance": self.balance, "version": 1}
        if path == "/notification/email/1":
            for email in self.emails:
                email["status"] = "pending" if self.not_yet(email["title"]) else "sent"
            return 200, self.emails
        if path.startswith(("/bookings", "/tickets/")):
            return self.answer_about_bookings(method, path, body)
        return 404, {"status": 404, "code": "not-found"}


class Handler(http.server.BaseHTTPRequestHandler):
    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if body:
            assert self.headers["Content-Type"] == "application/json"
        status, answer = self.server.answer(self.command, self.path, json.loads(body or "null"))
        # As serde_json writes it: no spaces.
        text = json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = handle_any

    def log_message(self, *_):
        pass


# The script of grpc begins otherwise, and with bookings it goes on; that of all others is the same.
@pytest.fixture(params=STEPS)
def script(tmp_path, request):
    """The script, and a `sleep` that does not."""
    path = tmp_path / "scenario.sh"
    path.write_text(find(render(request.param), "ConfigMap", "test")["data"]["scenario.sh"])
    sleep = tmp_path / "bin" / "sleep"
    sleep.parent.mkdir()
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)
    return path


def run(script, gateway):
    environment = {"PATH": f"{script.parent / 'bin'}:{os.environ['PATH']}"}
    command = ["sh", script, f"http://127.0.0.1:{gateway.server_port}"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.fixture
def steps(script):
    return script.read_text().count("\nstep '")


@pytest.mark.parametrize("style", STYLES)
def test_every_style_goes_through_the_steps(style):
    text = find(render(style), "ConfigMap", "test")["data"]["scenario.sh"]
    expected = STEPS["command-reply" if style in WITH_BOOKINGS else "restful"]
    assert [int(step) for step in re.findall(r"^step '(\d+)\. ", text, re.MULTILINE)] == [*range(1, expected + 1)]


@pytest.mark.parametrize("later", [0, 1, 3])
def test_a_sound_gateway_passes_at_once_and_later(script, steps, later):
    with Gateway(later=later) as gateway:
        done = run(script, gateway)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("ok ") == steps
    assert done.stdout.endswith(f"{steps} passed, 0 failed\n")
    assert done.stderr == ""


@pytest.mark.parametrize("script", ["grpc"], indirect=True)
def test_a_gateway_that_has_not_found_everybody_is_waited_for(script):
    with Gateway(alone=3) as gateway:
        done = run(script, gateway)
    assert done.returncode == 0, done.stdout


def assert_wrong(script, steps, wrong, expected):
    with Gateway(wrong=wrong) as gateway:
        done = run(script, gateway)
    assert done.returncode == 1
    assert [int(step) for step in re.findall(r"WRONG  (\d+)", done.stdout)] == expected
    assert done.stdout.endswith(f"{steps - len(expected)} passed, {len(expected)} failed\n")


@pytest.mark.parametrize(
    "wrong, expected",
    [("balance", [4, 6, 7, 8]), ("overdraft", [6, 7, 8]), ("email", [5, 8])],
)
def test_what_is_wrong_is_named_and_the_rest_still_tried(script, steps, wrong, expected):
    assert_wrong(script, steps, wrong, expected)


@pytest.mark.parametrize("wrong, expected", [("never sold", [11]), ("oversold", [12])])
@pytest.mark.parametrize("script", ["command-reply"], indirect=True)
def test_so_is_what_is_wrong_with_bookings(script, steps, wrong, expected):
    assert_wrong(script, steps, wrong, expected)


def test_an_outcome_that_never_comes_is_not_waited_for_for_ever(script, steps):
    with Gateway(later=10**6) as gateway:
        done = run(script, gateway)
    assert done.returncode == 1
    # An event needs no outcome: it is there at once.
    assert {8: "0 passed, 8 failed", 12: "1 passed, 11 failed"}[steps] in done.stdout


def test_a_gateway_that_is_away_fails(script):
    with Gateway() as gateway:
        pass
    assert run(script, gateway).returncode == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("file, part", [("scenario.sh", "test"), ("provision.sh", "provision")])
def test_scripts_have_no_slips(tmp_path, style, file, part):
    script = tmp_path / file
    script.write_text(find(render(style), "ConfigMap", part)["data"][file])
    done = subprocess.run(["shellcheck", "--shell=sh", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("style", STYLES)
def test_the_pod_runs_this_script_against_the_gateway(style):
    documents = render(style)
    (pod,) = [pod for part, pod in pods(documents) if part == "test"]
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["sh", "/scenario/scenario.sh", "http://hw-gateway:8080"]
    assert pod["spec"]["volumes"][0]["configMap"]["name"] == "hw-test"
    assert pod["spec"]["restartPolicy"] == "Never" and pod["spec"]["activeDeadlineSeconds"] > 0
