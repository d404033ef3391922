#!/usr/bin/env bash
# got with a cache: a poll with the reader's own If-None-Match gives out the old feed under the new ETag, and a 304 is kept.
#
# Versions: got 14.6.6 with cacheable-request 13.0.19 and http-cache-semantics 4.3.0 (npm), Node.js 20.20.2.
#   got 16.1.0 uses the same cacheable-request and does the same (it needs Node.js 22).
#
# Expected: RFC 9111 section 4.3.4 lets a 304 refresh only the stored answer that has the ETag of the 304. A 304 has no content, so it
#   is never an answer for a later request that has no validator. So a reader of a feed may keep its ETag in its database, send it
#   itself, and still have a cache in its HTTP client.
# Seen:
#   1. The cache holds version 1. The reader knows the ETag of version 2, for instance from another replica that stored it.
#      The client sends both tags. The server says 304 for "2". The reader gets status 200, the text of version 1, and ETag "2".
#      It stores both. From then on "2" is answered by 304, so it never reads version 2.
#   2. The cache is empty. The reader sends its ETag and gets 304, which is right. But that 304 goes into the cache.
#      Each later GET without a validator, of this or any other reader, gets 304 without a body.
#      The cache sends the ETag of the 304 itself, so this lasts until the feed changes.
#
# For a reader: use the cache or your own validators, never both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund got@14.6.6 cacheable-request@13.0.19 http-cache-semantics@4.3.0
cat > poll.js << 'JS'
import got from "got";
import http from "node:http";

let version = 1;
const server = http.createServer((request, response) => {
  const tag = `"${version}"`;
  const known = (request.headers["if-none-match"] ?? "").split(", ").includes(tag);
  response.writeHead(known ? 304 : 200, { etag: tag, "cache-control": "no-cache" });
  response.end(known ? undefined : `<feed>version ${version}</feed>`);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}/feed`;

async function get(cache, who, headers = {}) {
  const answer = await got(url, { cache, headers, retry: { limit: 0 } });
  console.log(`${who}: ${answer.statusCode} ${answer.headers.etag} ${answer.body || "no body"}`);
}

const old = new Map();
await get(old, "1. plain GET");
version = 2;
await get(old, "1. poll that knows version 2", { "if-none-match": '"2"' });

const empty = new Map();
await get(empty, "2. poll that knows version 2", { "if-none-match": '"2"' });
await get(empty, "2. plain GET");
await get(empty, "2. plain GET");
version = 3;
await get(empty, "2. plain GET of version 3");
server.close();
JS
node poll.js | tee seen
diff seen - << 'EXPECTED'
1. plain GET: 200 "1" <feed>version 1</feed>
1. poll that knows version 2: 200 "2" <feed>version 1</feed>
2. poll that knows version 2: 304 "2" no body
2. plain GET: 304 "2" no body
2. plain GET: 304 "2" no body
2. plain GET of version 3: 200 "3" <feed>version 3</feed>
EXPECTED
echo "still so"
