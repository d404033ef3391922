#!/usr/bin/env bash
# oasdiff judges webhooks the wrong way round, and callbacks not at all: a field that an event loses passes the gate.
#
# Versions: oasdiff 1.37.0 (Go module), Go 1.26.
#
# Expected: in OpenAPI 3.1.0 (section 4.8.1, `webhooks`, and 4.8.18, the Callback Object) the API's provider sends the request, and the
#   other side reads it. So its body is to be judged as the body of a response is: a required field that is gone breaks readers, and a
#   field that is new does not. `oasdiff breaking --fail-on ERR` is a common gate in a pipeline.
# Seen: for a webhook it judges the body as if the other side sent it. A required field that is gone is a warning, and the gate lets
#   it pass. A new field that is always there is an error, and the gate refuses it. For a callback it reports neither.
#   For the same schema in a response it is right. The project knows that callbacks are not judged (its issue 1161), and says in
#   its issue 1160 that the two sides have to be exchanged for webhooks.
#
# For a provider of events: describe each event's body also as a response, for instance of the feed that has it. The gate judges that.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
GOBIN="$work" go install -p 1 github.com/oasdiff/oasdiff@v1.37.0 2> log || { cat log; exit 1; }
describe() { # the place of the event, its properties
  printf 'openapi: 3.1.0\ninfo: {title: shop, version: "1"}\n'
  event="{application/json: {schema: {type: object, required: [$(sed 's/,/, /g' <<< "$2")], properties: {$(sed -E 's/([a-z]+)/\1: {type: string}/g' <<< "$2")}}}}"
  case $1 in
    response) echo "paths: {/paid: {get: {responses: {'200': {description: paid, content: $event}}}}}" ;;
    webhook) echo "webhooks: {paid: {post: {requestBody: {content: $event}, responses: {'204': {description: taken}}}}}" ;;
    callback) echo "paths: {/subscriptions: {post: {responses: {'201': {description: made}}, callbacks: {paid: {'{\$request.query.url}':"
      echo "  {post: {requestBody: {content: $event}, responses: {'204': {description: taken}}}}}}}}}" ;;
  esac
}
for place in response webhook callback; do
  describe $place id > id.yaml
  describe $place id,amount > id-and-amount.yaml
  for change in "id-and-amount id" "id id-and-amount"; do
    read -r before after <<< "$change"
    if ./oasdiff breaking --fail-on ERR "$before.yaml" "$after.yaml" > report; then gate=passes; else gate=refused; fi
    echo "$place, $before becomes $after: $gate, $(grep -oE '\[[a-z-]+\]' report || echo nothing told)"
  done
done | tee seen
diff seen - << 'EXPECTED'
response, id-and-amount becomes id: refused, [response-required-property-removed]
response, id becomes id-and-amount: passes, nothing told
webhook, id-and-amount becomes id: passes, [request-property-removed]
webhook, id becomes id-and-amount: refused, [new-required-request-property]
callback, id-and-amount becomes id: passes, nothing told
callback, id becomes id-and-amount: passes, nothing told
EXPECTED
echo "still so"
