#!/usr/bin/env bash
# make-fetch-happen forgets the `Age` of an answer, so behind a shared cache it gives out old answers as fresh ones.
#
# Versions: make-fetch-happen 15.0.6 and got 14.6.6 (npm), Node.js 20.20.2.
#
# Expected: RFC 9111 section 4.2.3 counts the `Age` that a shared cache sent as part of the age of a stored answer. If nginx, Varnish
#   or a CDN held a feed with `max-age=10` for 7 seconds, a client's cache may use it for 3 seconds. got does so.
# Seen: make-fetch-happen writes only a chosen list of headers to its cache, and `Age` is not in the list. So it uses the answer
#   for 10 more seconds. The reader gets the old feed though the shared cache has the new one. It cannot see this either, since the
#   answer that it gets has no `Age`. With `max-age=3600`, a feed can be two hours old. Right at the origin there is no `Age`, so a
#   test there sees nothing.
#
# For a reader: name the header in the option, `cacheAdditionalHeaders: ["age"]`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund make-fetch-happen@15.0.6 got@14.6.6
cat > read.js << 'JS'
import got from "got";
import fetcher from "make-fetch-happen";
import { setTimeout as sleep } from "node:timers/promises";
import http from "node:http";

// What a shared cache does: each version of the feed is kept for its 10 seconds, and then the next one is fetched.
const started = Date.now();
const shared = http.createServer((request, response) => {
  const seconds = (Date.now() - started) / 1000;
  const age = Math.floor(seconds % 10);
  response.writeHead(200, { "cache-control": "max-age=10", age, date: new Date(Date.now() - age * 1000).toUTCString() });
  response.end(`version ${1 + Math.floor(seconds / 10)}`);
});
await new Promise((resolve) => shared.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${shared.address().port}/feed`;

const cache = new Map();
const plain = fetcher.defaults({ cachePath: "plain" });
const withAge = fetcher.defaults({ cachePath: "with-age", cacheAdditionalHeaders: ["age"] });
const clients = {
  "the shared cache itself": async () => (await fetch(url)).text(),
  got: async () => (await got(url, { cache })).body,
  "make-fetch-happen": async () => (await plain(url)).text(),
  "make-fetch-happen that is told to keep it": async () => (await withAge(url)).text(),
};
for (const second of [7, 12]) {
  await sleep(started + second * 1000 - Date.now());
  for (const [client, get] of Object.entries(clients)) console.log(`${second} s, ${client}: ${await get()}`);
}
process.exit(0);
JS
node read.js | tee seen
diff seen - << 'EXPECTED'
7 s, the shared cache itself: version 1
7 s, got: version 1
7 s, make-fetch-happen: version 1
7 s, make-fetch-happen that is told to keep it: version 1
12 s, the shared cache itself: version 2
12 s, got: version 2
12 s, make-fetch-happen: version 1
12 s, make-fetch-happen that is told to keep it: version 2
EXPECTED
echo "still so"
