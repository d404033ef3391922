import io.cloudevents.CloudEvent;
import io.cloudevents.core.format.EventFormat;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.core.provider.EventFormatProvider;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.CloudEventDeserializer;
import io.cloudevents.kafka.CloudEventSerializer;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A producer and consumer as the CloudEvents SDK for Java makes them: says the event that it gets on standard input, and
 * prints the one that answers it.
 *
 * <p>Arguments: BROKERS, the TOPIC to say it on, its KEY, the encoding (BINARY or STRUCTURED), the TOPIC and the TYPE of the answer.
 */
public final class Peer {
    private static final Duration ANSWER_MAX = Duration.ofSeconds(30);

    public static void main(String[] args) throws Exception {
        String brokers = args[0], topic = args[1], key = args[2], answerTopic = args[4], answerType = args[5];
        EventFormat json = EventFormatProvider.getInstance().resolveFormat(JsonFormat.CONTENT_TYPE);
        CloudEvent asked = json.deserialize(System.in.readAllBytes());
        Map<String, Object> says = Map.of(
                "bootstrap.servers", brokers,
                "key.serializer", StringSerializer.class,
                "value.serializer", CloudEventSerializer.class,
                CloudEventSerializer.ENCODING_CONFIG, Encoding.valueOf(args[3]),
                CloudEventSerializer.EVENT_FORMAT_CONFIG, json);
        Map<String, Object> hears = Map.of(
                "bootstrap.servers", brokers,
                "key.deserializer", StringDeserializer.class,
                "value.deserializer", CloudEventDeserializer.class);
        try (var consumer = new KafkaConsumer<String, CloudEvent>(hears);
                var producer = new KafkaProducer<String, CloudEvent>(says)) {
            // Where the topic ends before anything is said: no answer is missed.
            List<TopicPartition> partitions = consumer.partitionsFor(answerTopic).stream()
                    .map(it -> new TopicPartition(it.topic(), it.partition()))
                    .toList();
            consumer.assign(partitions);
            consumer.seekToEnd(partitions);
            partitions.forEach(consumer::position);
            producer.send(new ProducerRecord<>(topic, key, asked)).get();
            System.out.write(json.serialize(answer(consumer, asked, answerType)));
            System.out.flush();
        }
    }

    private static CloudEvent answer(KafkaConsumer<String, CloudEvent> consumer, CloudEvent asked, String type) {
        Object correlation = asked.getExtension("correlationid");
        Instant deadline = Instant.now().plus(ANSWER_MAX);
        while (Instant.now().isBefore(deadline)) {
            for (var record : consumer.poll(Duration.ofMillis(200))) {
                CloudEvent event = record.value();
                if (event.getType().equals(type) && Objects.equals(event.getExtension("correlationid"), correlation)) {
                    return event;
                }
            }
        }
        throw new IllegalStateException("nobody answered within " + ANSWER_MAX);
    }
}
