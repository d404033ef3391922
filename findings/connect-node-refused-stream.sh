#!/usr/bin/env bash
# Connect's client for Node.js calls a refused stream `internal`, though nothing was done and the call may be sent again.
#
# Versions: @connectrpc/connect and @connectrpc/connect-node 2.2.0, @bufbuild/protobuf 2.17.0 and @grpc/grpc-js 1.14.7 (npm), Node.js 20.20.2.
#
# Expected: a server refuses a stream (RST_STREAM with REFUSED_STREAM) when it is about to close the connection, or has too many streams.
#   By RFC 9113 section 8.7 no processing took place. gRPC's mapping over HTTP/2 says UNAVAILABLE for it, so a retry rule "repeat
#   UNAVAILABLE" covers it. And it says RESOURCE_EXHAUSTED for ENHANCE_YOUR_CALM. The package has a table that says the same.
# Seen: the client says `internal` for both, with each protocol (gRPC, and Connect over HTTP/2), and sends nothing again.
#   Node.js tells such a stream as an error first, so the table is not asked. Only CANCEL gets its own code.
#   grpc-js sends the refused call again by itself, and then says UNAVAILABLE (14).
#
# For a client: an `internal` whose message ends in NGHTTP2_REFUSED_STREAM is safe to repeat. Servers that age their connections
#   (`max_connection_age`) cause it now and then: 2 of 3,400 calls to a grpcio server whose connections lived for about a second.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund @connectrpc/connect@2.2.0 @connectrpc/connect-node@2.2.0 @bufbuild/protobuf@2.17.0 @grpc/grpc-js@1.14.7
cat > call.js << 'JS'
import { create, toBinary } from "@bufbuild/protobuf";
import { fileDesc, serviceDesc } from "@bufbuild/protobuf/codegenv2";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { FileDescriptorProtoSchema, file_google_protobuf_wrappers } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import grpc from "@grpc/grpc-js";
import http2 from "node:http2";

const text = ".google.protobuf.StringValue";
const file = create(FileDescriptorProtoSchema, {
  name: "shop.proto", package: "shop", syntax: "proto3", dependency: ["google/protobuf/wrappers.proto"],
  service: [{ name: "Orders", method: [{ name: "Get", inputType: text, outputType: text }] }],
});
const encoded = base64Encode(toBinary(FileDescriptorProtoSchema, file));
const orders = serviceDesc(fileDesc(encoded, [file_google_protobuf_wrappers]), 0);
const same = (bytes) => bytes;
const Orders = grpc.makeGenericClientConstructor({ Get: {
  path: "/shop.Orders/Get", requestStream: false, responseStream: false,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
} }, "Orders");

for (const reason of ["REFUSED_STREAM", "ENHANCE_YOUR_CALM", "CANCEL"]) {
  let asked = 0;
  const server = http2.createServer();
  server.on("stream", (stream) => {
    asked += 1;
    stream.on("error", () => {});
    stream.close(http2.constants[`NGHTTP2_${reason}`]);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `http://127.0.0.1:${server.address().port}`;
  const transports = { grpc: createGrpcTransport({ baseUrl }), connect: createConnectTransport({ baseUrl, httpVersion: "2" }) };
  for (const [protocol, transport] of Object.entries(transports)) {
    asked = 0;
    const error = await createClient(orders, transport).get({ value: "1" }).catch((error) => error);
    console.log(`${reason}, connect-node, ${protocol}: ${Code[error.code]}, asked ${asked}`);
  }
  asked = 0;
  const client = new Orders(baseUrl.slice("http://".length), grpc.credentials.createInsecure());
  const error = await new Promise((resolve) => client.Get(Buffer.from(""), { deadline: Date.now() + 5000 }, resolve));
  console.log(`${reason}, grpc-js: ${grpc.status[error.code]}, asked ${asked}`);
}
process.exit(0);
JS
node call.js | tee seen
diff seen - << 'EXPECTED'
REFUSED_STREAM, connect-node, grpc: Internal, asked 1
REFUSED_STREAM, connect-node, connect: Internal, asked 1
REFUSED_STREAM, grpc-js: UNAVAILABLE, asked 2
ENHANCE_YOUR_CALM, connect-node, grpc: Internal, asked 1
ENHANCE_YOUR_CALM, connect-node, connect: Internal, asked 1
ENHANCE_YOUR_CALM, grpc-js: RESOURCE_EXHAUSTED, asked 1
CANCEL, connect-node, grpc: Canceled, asked 1
CANCEL, connect-node, connect: Canceled, asked 1
CANCEL, grpc-js: CANCELLED, asked 1
EXPECTED
echo "still so"
