#!/usr/bin/env bash
# Traffic Server ends long polls of a `no-cache` feed at once, and makes each other reader of a feed wait a second beside a long poll.
#
# Versions: Traffic Server 9.2.5+ds-0+deb12u4 (Debian 12), Node.js 20.20.2.
#
# Expected: a reader polls a feed with its ETag and `Prefer: wait=4` (RFC 7240 section 4.3), and the server holds the answer as long as
#   nothing is new. The answers have `Vary: Prefer`, so a request with another `Prefer` is another cache entry (RFC 9111 section 4.1),
#   and one reader's long poll does not concern the others. An answer with `no-cache` may just pass through.
# Seen:
#   1. Where Traffic Server has no stored answer, it removes `If-None-Match` from the request, in the hope of an answer that it can
#      store. An answer with `no-cache` is never stored. So the server never sees the reader's ETag, has something new for a reader
#      without an ETag, and sends the whole feed at once. Traffic Server compares the ETags itself and tells the reader 304 after
#      0 seconds. Each further poll goes the same way. A reader that asks again at once then asks without end.
#   2. With `max-age=1` the long poll works. But a plain GET during that time, which the server answers at once, takes 1 second.
#      Traffic Server tries for so long to join the answer that is being fetched. Then it asks the server after all.
#
# For a server: keep the feed out of this cache; `proxy.config.http.cache.http` 0 ends both. `proxy.config.cache.enable_read_while_writer` 0
#   ends the second only.
set -euo pipefail
work=$(mktemp -d)
proxy=
trap '[ -z "$proxy" ] || kill "$proxy" || true; wait; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
apt-get download trafficserver=9.2.5+ds-0+deb12u4 libhwloc15=2.9.0-1 libmaxminddb0=1.7.1-1 libpcre3=2:8.39-15 \
  libunwind8=1.6.2-3 libyaml-cpp0.7=0.7.0+dfsg-8+b1 > log 2>&1 || { cat log; exit 1; }
for package in *.deb; do dpkg -x "$package" root; done
mkdir -p ats/cache ats/log ats/run
cp -r root/etc/trafficserver ats/etc
mkdir -p ats/etc/body_factory/default
touch ats/etc/body_factory/default/.body_factory_info
cat > ats/etc/records.config << CONFIG
CONFIG proxy.config.http.server_ports STRING 28190:ip-in=127.0.0.1
CONFIG proxy.config.http.wait_for_cache INT 1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 2
CONFIG proxy.config.cache.ram_cache.size INT 16M
CONFIG proxy.config.hostdb.storage_size INT 1M
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.body_factory.template_sets_dir STRING $work/ats/etc/body_factory
CONFIG
echo "map http://127.0.0.1:28190/ http://127.0.0.1:28191/" > ats/etc/remap.config
echo "$work/ats/cache 64M" > ats/etc/storage.config
for folder in prefix:ats exec_prefix:ats bindir:root/usr/bin sbindir:root/usr/sbin sysconfdir:ats/etc datadir:ats includedir:ats \
  libdir:ats libexecdir:root/usr/lib/trafficserver/modules localstatedir:ats runtimedir:ats/run logdir:ats/log mandir:ats \
  infodir:ats cachedir:ats/cache; do
  echo "${folder%%:*}: $work/${folder#*:}"
done > runroot.yaml
LD_LIBRARY_PATH="$(dirname "$(find "$work/root" -name libtscore.so.9)"):$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu" \
  root/usr/bin/traffic_server --run-root="$work/runroot.yaml" > log 2>&1 &
proxy=$!
cat > poll.js << 'JS'
const http = require("node:http");
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Holds a request that says `Prefer: wait` and has the current ETag; answers each other request at once.
const seen = [];
const origin = http.createServer((request, response) => {
  const known = request.headers["if-none-match"] === '"1"';
  const seconds = known ? Number(/wait=(\d+)/.exec(request.headers.prefer ?? "")?.[1] ?? 0) : 0;
  seen.push(`${known ? "the ETag" : "no ETag"}, and sent ${known ? 304 : 200}`);
  setTimeout(() => {
    response.writeHead(known ? 304 : 200, { etag: '"1"', vary: "Prefer", "cache-control": request.url.slice(1) });
    response.end(known ? undefined : "the whole feed");
  }, seconds * 1000);
});

const get = (cacheControl, headers = {}) => new Promise((resolve, reject) => {
  const started = Date.now();
  http.get({ host: "127.0.0.1", port: 28190, path: `/${cacheControl}`, headers, agent: false }, (answer) => {
    answer.resume();
    answer.on("end", () => {
      const seconds = (Date.now() - started) / 1000;
      resolve(`${answer.statusCode} ${seconds < 0.8 ? "at once" : seconds < 3.5 ? "after a second" : "after 4 s"}`);
    });
  }).on("error", reject);
});
const longPoll = { prefer: "wait=4", "if-none-match": '"1"' };

origin.listen(28191, "127.0.0.1", async () => {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await get("no-store").then((answer) => answer.startsWith("200"), () => false)) break;
    await sleep(100);
  }
  for (let poll = 1; poll <= 2; poll += 1) {
    console.log(`no-cache, long poll ${poll}: ${await get("no-cache", longPoll)}; the server saw ${seen.at(-1)}`);
  }
  await get("max-age=1");
  await get("max-age=1", { prefer: "wait=4" });
  await sleep(2500);
  const held = get("max-age=1", longPoll);
  await sleep(500);
  const plain = get("max-age=1");
  console.log(`max-age=1, plain GET beside the long poll: ${await plain}; the server saw ${seen.at(-1)}`);
  console.log(`max-age=1, long poll: ${await held}`);
  await sleep(2500);
  console.log(`max-age=1, plain GET alone: ${await get("max-age=1")}; the server saw ${seen.at(-1)}`);
  process.exit(0);
});
JS
node poll.js | tee seen
diff seen - << 'EXPECTED'
no-cache, long poll 1: 304 at once; the server saw no ETag, and sent 200
no-cache, long poll 2: 304 at once; the server saw no ETag, and sent 200
max-age=1, plain GET beside the long poll: 200 after a second; the server saw no ETag, and sent 200
max-age=1, long poll: 304 after 4 s
max-age=1, plain GET alone: 200 at once; the server saw the ETag, and sent 304
EXPECTED
echo "still so"
