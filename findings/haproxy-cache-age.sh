#!/usr/bin/env bash
# HAProxy's cache behind another cache gives out answers that are too old, and says so itself in their `Age`.
#
# Versions: HAProxy 2.6.12-1+deb12u3 (Debian 12), Node.js 20.20.2. A source of its development branch, which we read, does the same.
#
# Expected: RFC 9111 section 4.2 has an answer fresh only while its age is below its `max-age`. The `Age` that came with it is
#   part of its age (section 4.2.3). So if another cache held an answer with `max-age=10` for 7 seconds, 3 seconds are left.
# Seen: HAProxy keeps each answer for its whole `max-age`, counted from its arrival. It adds the `Age` that came to the `Age` that
#   it sends, but does not take it from the time that is left. So a reader gets the old feed with `max-age=10` and an `Age` of 12, and
#   the other cache, which has the new feed, is not asked. Each further cache of this kind can add a whole `max-age`. HAProxy right
#   before the origin sees no `Age`.
#
# For a feed: in the section `cache`, `max-age 1` bounds what HAProxy adds to the age. A reader can see from `Age` how old its answer is.
set -euo pipefail
work=$(mktemp -d)
proxy=
trap '[ -z "$proxy" ] || kill "$proxy" || true; wait; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
apt-get download haproxy=2.6.12-1+deb12u3 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4 > log 2>&1 || { cat log; exit 1; }
for package in *.deb; do dpkg -x "$package" root; done
cat > haproxy.cfg << 'CONFIG'
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
cache feed
  total-max-size 4
cache bounded
  total-max-size 4
  max-age 1
listen as-it-comes
  bind 127.0.0.1:28180
  http-request cache-use feed
  http-response cache-store feed
  server upstream 127.0.0.1:28182
listen with-a-bound
  bind 127.0.0.1:28181
  http-request cache-use bounded
  http-response cache-store bounded
  server upstream 127.0.0.1:28182
CONFIG
LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/sbin/haproxy -db -f haproxy.cfg > log 2>&1 &
proxy=$!
cat > read.js << 'JS'
const http = require("node:http");
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// What a cache upstream does: each version of the feed is kept for its 10 seconds, and then the next one is fetched.
let started;
const upstream = http.createServer((request, response) => {
  const seconds = (Date.now() - started) / 1000;
  const age = Math.floor(seconds % 10);
  response.writeHead(200, { "cache-control": "max-age=10", age, date: new Date(Date.now() - age * 1000).toUTCString() });
  response.end(`version ${1 + Math.floor(seconds / 10)}`);
});

async function get(who, port) {
  const answer = await fetch(`http://127.0.0.1:${port}/feed`);
  const age = Number(answer.headers.get("age") ?? 0);
  const fresh = age < 10 ? "is fresh" : "is stale";
  console.log(`${who}: ${await answer.text()}, which by its Age ${fresh}`);
}
async function up(port) {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await fetch(`http://127.0.0.1:${port}/started`).then(() => true, () => false)) return;
    await sleep(100);
  }
}

upstream.listen(28182, "127.0.0.1", async () => {
  await up(28180);
  await up(28181);
  started = Date.now();
  await sleep(7000);
  await get("7 s, upstream", 28182);
  await get("7 s, HAProxy", 28180);
  await get("7 s, HAProxy with max-age 1", 28181);
  await sleep(started + 12000 - Date.now());
  await get("12 s, upstream", 28182);
  await get("12 s, HAProxy", 28180);
  await get("12 s, HAProxy with max-age 1", 28181);
  process.exit(0);
});
JS
node read.js | tee seen
diff seen - << 'EXPECTED'
7 s, upstream: version 1, which by its Age is fresh
7 s, HAProxy: version 1, which by its Age is fresh
7 s, HAProxy with max-age 1: version 1, which by its Age is fresh
12 s, upstream: version 2, which by its Age is fresh
12 s, HAProxy: version 1, which by its Age is stale
12 s, HAProxy with max-age 1: version 2, which by its Age is fresh
EXPECTED
echo "still so"
