#!/usr/bin/env bash
# psycopg drops the notifications that stand behind the one at which a reader leaves `notifies()`, though it has a store for them.
#
# Versions: psycopg 3.3.9 (PyPI), Python 3.11, PostgreSQL 15.18 (Debian 12).
#
# Expected: PostgreSQL delivers each notification once to a session that listens. Since 3.2.4 psycopg keeps what arrives while no
#   generator runs, and the next call of `notifies()` gives it out. So a reader may wait for one notification, leave the loop to work,
#   and call `notifies()` again for the next one.
# Seen: it depends on who read the notifications from the connection. If a statement of the reader did, they are in the store, and
#   those behind the first one are there for the next call. If the generator read them itself, they are in a list of its own. With
#   `break`, or with an exception in the loop, that list is gone. So of five notifications of one transaction the reader gets the
#   first, and waits in vain for the others. It gets all of them if it reads the loop to its end with `stop_after=1`, which ends it
#   after the first batch.
#
# For a reader of an outbox: take a notification for a sign to look into the table, never for the message. Look also when the time is over.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" || true; wait; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
apt-get download postgresql-15=15.18-0+deb12u1 > log 2>&1 || { cat log; exit 1; }
dpkg -x postgresql-15_*.deb root
mkdir data socket
chown nobody data socket
runuser -u nobody -- root/usr/lib/postgresql/15/bin/initdb --pgdata data --username reader --auth trust > log 2>&1 || { cat log; exit 1; }
runuser -u nobody -- root/usr/lib/postgresql/15/bin/postgres -D data -k "$work/socket" -c listen_addresses= > log 2>&1 &
server=$!
python3 -m venv venv
venv/bin/pip install --quiet "psycopg[binary]==3.3.9"
cat > listen.py << 'PYTHON'
import sys
import time

import psycopg


def connect():
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(f"host={sys.argv[1]} user=reader dbname=postgres", autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


reader, writer = connect(), connect()
reader.execute("listen orders")


def send_five():
    with writer.transaction():
        for number in range(1, 6):
            writer.execute(f"notify orders, 'order-{number}'")
    time.sleep(0.5)


def leave_at_the_first():
    for notification in reader.notifies(timeout=2):
        return notification.payload


def rest():
    return [notification.payload for notification in reader.notifies(timeout=2)]


send_five()
reader.execute("select 1")
print("read by a statement, first call:", leave_at_the_first())
print("read by a statement, next call:", *rest())
send_five()
print("read by the generator, first call:", leave_at_the_first())
print("read by the generator, next call:", *rest() or ["nothing"])
send_five()
print("to the end, stop_after=1:", *[notification.payload for notification in reader.notifies(timeout=2, stop_after=1)])
PYTHON
venv/bin/python listen.py "$work/socket" | tee seen
diff seen - << 'EXPECTED'
read by a statement, first call: order-1
read by a statement, next call: order-2 order-3 order-4 order-5
read by the generator, first call: order-1
read by the generator, next call: nothing
to the end, stop_after=1: order-1 order-2 order-3 order-4 order-5
EXPECTED
echo "still so"
