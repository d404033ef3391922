#!/usr/bin/env bash
# @platformatic/kafka sends half of all keys to another partition than other clients do, but only where partitions are no power of two.
#
# Versions: @platformatic/kafka 2.12.1, kafkajs 2.2.4, Node.js 22.23.3 (npm).
#
# Expected: it hashes keys with murmur2, as Java's client and kafkajs do. So a key has the same partition with each of them, and
#   two services may send one order's messages in order, through different clients.
# Seen: the hash is the same, but Java and kafkajs clear its sign bit, and this client reads it as an unsigned number. For a negative
#   hash (half of all keys) the remainder differs, unless the number of partitions is a power of two. So a test with 1, 2, 4 or 8
#   partitions sees nothing, and with 3, 6 or 12 each second key is in two partitions: no order, and no compaction by key.
#   The package also has `compatibilityPartitioner`, which agrees with the others. It is not the one that is used if none is named.
#
# For a producer: `new Producer({ partitioner: compatibilityPartitioner, ... })`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund @platformatic/kafka@2.12.1 kafkajs@2.2.4 node@22.23.3
cat > keys.js << 'JS'
import { compatibilityPartitioner, defaultPartitioner } from "@platformatic/kafka";
import kafkajs from "kafkajs";

const keys = Array.from({ length: 1000 }, (_, number) => `order-${number}`);
const partitionOfKafkajs = kafkajs.Partitioners.DefaultPartitioner();
for (const partitions of [1, 2, 3, 4, 6, 8, 12]) {
  const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({ partitionId, leader: 0 }));
  const differing = (partitioner) => keys.filter((key) =>
    partitioner({}, Buffer.from(key)) % partitions !== partitionOfKafkajs({ topic: "orders", partitionMetadata, message: { key } }));
  console.log(`${partitions} partitions: ${differing(defaultPartitioner).length} of 1000 keys differ,`,
    `${differing(compatibilityPartitioner).length} with compatibilityPartitioner`);
}
JS
node_modules/.bin/node keys.js | tee seen
diff seen - << 'EXPECTED'
1 partitions: 0 of 1000 keys differ, 0 with compatibilityPartitioner
2 partitions: 0 of 1000 keys differ, 0 with compatibilityPartitioner
3 partitions: 499 of 1000 keys differ, 0 with compatibilityPartitioner
4 partitions: 0 of 1000 keys differ, 0 with compatibilityPartitioner
6 partitions: 499 of 1000 keys differ, 0 with compatibilityPartitioner
8 partitions: 0 of 1000 keys differ, 0 with compatibilityPartitioner
12 partitions: 499 of 1000 keys differ, 0 with compatibilityPartitioner
EXPECTED
echo "still so"
