#!/usr/bin/env bash
# A `READ_COMMITTED` consumer of @platformatic/kafka that catches up hands out messages of aborted transactions.
#
# Versions: @platformatic/kafka 2.12.1, kafkajs 2.2.4, Node.js 22.23.3 (npm); Kafka 4.3.1 (Maven); Java 17.
#
# Expected: with `READ_COMMITTED`, its default, no message of an aborted transaction reaches the application. It is so with
#   librdkafka, kafkajs, franz-go, sarama, aiokafka and kafka-python, which were tried in the same way.
# Seen: where one answer of the broker holds several aborted transactions of one producer, only the last of them is hidden.
#   The client keeps one range of offsets for each producer, so each aborted transaction overwrites the one before.
#   A consumer that keeps up gets one transaction at a time and hides all of them. So a test does not see it, and a consumer that
#   was down, or reads a topic from its beginning, does.
#
# For a consumer of a topic with transactions: use another client. An inbox by event id removes the repeat of an event that was
#   sent again after the abort. It does not remove an event that was never sent again.
set -euo pipefail
work=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker" || true; wait; rm -rf "$work"' EXIT
cd "$work"
cat > pom.xml << 'XML'
<project><modelVersion>4.0.0</modelVersion><groupId>findings</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.3.1</version></dependency></dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars > log || { cat log; exit 1; }
cat > server.properties << PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:28093
listeners=PLAINTEXT://127.0.0.1:28092,CONTROLLER://127.0.0.1:28093
advertised.listeners=PLAINTEXT://127.0.0.1:28092
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$work/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES
java -cp "jars/*" kafka.tools.StorageTool format --cluster-id AAAAAAAAQACAAAAAAAAAAg --config server.properties > log 2>&1
java -Xmx400m -cp "jars/*" kafka.Kafka server.properties >> log 2>&1 &
broker=$!
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund @platformatic/kafka@2.12.1 kafkajs@2.2.4 node@22.23.3
cat > read.js << 'JS'
import { Consumer, stringDeserializers } from "@platformatic/kafka";
import { Kafka, logLevel } from "kafkajs";
import { setTimeout as sleep } from "node:timers/promises";

const brokers = ["127.0.0.1:28092"];
const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { retries: 30, maxRetryTime: 1000 } });
const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ waitForLeaders: true, topics: [{ topic: "orders", numPartitions: 1 }] });

// Each returns the list that fills while messages arrive.
async function readWithPlatformatic(groupId) {
  const consumer = new Consumer({ groupId, clientId: groupId, bootstrapBrokers: brokers, deserializers: stringDeserializers });
  const stream = await consumer.consume({ topics: ["orders"], mode: "earliest", maxWaitTime: 200 });
  const values = [];
  stream.on("data", (message) => values.push(message.value));
  return values;
}
async function readWithKafkajs(groupId) {
  const consumer = kafka.consumer({ groupId });
  await consumer.connect();
  await consumer.subscribe({ topics: ["orders"], fromBeginning: true });
  const values = [];
  await consumer.run({ eachMessage: async ({ message }) => values.push(message.value.toString()) });
  return values;
}
async function shown(values) {
  const deadline = Date.now() + 30_000;
  while (values.at(-1) !== "end" && Date.now() < deadline) await sleep(100);
  return values.join(" ");
}

const live = await readWithPlatformatic("live");
const producer = kafka.producer({ transactionalId: "relay", idempotent: true, maxInFlightRequests: 1 });
await producer.connect();
for (const value of ["aborted-1", "committed-1", "aborted-2", "aborted-3", "end"]) {
  const transaction = await producer.transaction();
  await transaction.send({ topic: "orders", messages: [{ key: "order-1", value }] });
  await sleep(500);
  await (value.startsWith("aborted") ? transaction.abort() : transaction.commit());
  await sleep(500);
}
console.log("@platformatic/kafka, keeps up:", await shown(live));
console.log("@platformatic/kafka, catches up:", await shown(await readWithPlatformatic("late")));
console.log("kafkajs, catches up:", await shown(await readWithKafkajs("late-too")));
process.exit(0);
JS
node_modules/.bin/node read.js | tee seen
diff seen - << 'EXPECTED'
@platformatic/kafka, keeps up: committed-1 end
@platformatic/kafka, catches up: aborted-1 committed-1 aborted-2 end
kafkajs, catches up: committed-1 end
EXPECTED
echo "still so"
