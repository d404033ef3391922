#!/usr/bin/env bash
# An event whose data is of a vendor's JSON type: the JavaScript and Python SDKs write it, the Go and Java SDKs refuse it.
#
# Versions: cloudevents 10.0.0 (npm), cloudevents 2.2.0 (PyPI), sdk-go 2.16.2, cloudevents-json-jackson 4.0.1 (Maven);
#   Node.js 20.20.2, Python 3.11, Go 1.26, Java 17.
#
# Expected: in CloudEvents' JSON format (1.0.2, section 3.1) each type that ends in `+json` is JSON. Its data is written as a JSON
#   value, and a reader must take it as one. So `application/vnd.order+json` works as `application/json` does, between all SDKs.
# Seen: JavaScript and Python write the data as an object. Go takes only `application/json` and `text/json` for JSON. Java takes
#   `+json` after letters alone: `problem+json`, but nothing with a dot or a hyphen, such as `vnd.order+json` or `merge-patch+json`.
#   Both then refuse the whole event, since data that is not JSON has to be a string.
#
# For a producer: say `application/json`, and name the kind of data in `dataschema`. Or use binary mode, which all four read.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund cloudevents@10.0.0
python3 -m venv venv
venv/bin/pip install --quiet cloudevents==2.2.0
cat > write.js << 'JS'
const { CloudEvent, HTTP } = require("cloudevents");
for (const datacontenttype of ["application/json", "application/problem+json", "application/vnd.order+json"])
  console.log(HTTP.structured(new CloudEvent({ id: "1", source: "/shop", type: "Ordered", datacontenttype, data: { n: 1 } })).body);
JS
cat > write.py << 'PYTHON'
from cloudevents.core.bindings.kafka import to_structured_event
from cloudevents.core.v1.event import CloudEvent

for kind in ["application/json", "application/problem+json", "application/vnd.order+json"]:
    attributes = {"id": "1", "source": "/shop", "type": "Ordered", "specversion": "1.0", "datacontenttype": kind}
    print(to_structured_event(CloudEvent(attributes, {"n": 1})).value.decode())
PYTHON
cat > go.mod << 'GO'
module read
go 1.26
require github.com/cloudevents/sdk-go/v2 v2.16.2
GO
cat > read.go << 'GO'
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/cloudevents/sdk-go/v2/event"
)

func main() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var e event.Event
		outcome := "read"
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			outcome = "refused"
		}
		fmt.Println("  Go:", e.DataContentType(), outcome)
	}
}
GO
cat > Read.java << 'JAVA'
import io.cloudevents.jackson.JsonFormat;
import java.util.Scanner;

class Read {
    public static void main(String[] arguments) {
        for (var lines = new Scanner(System.in); lines.hasNextLine();) {
            var line = lines.nextLine();
            var outcome = "read";
            try {
                new JsonFormat().deserialize(line.getBytes());
            } catch (io.cloudevents.core.format.EventDeserializationException e) {
                outcome = "refused";
            }
            System.out.println("  Java: " + line.replaceAll(".*\"datacontenttype\": ?\"([^\"]*).*", "$1") + " " + outcome);
        }
    }
}
JAVA
cat > pom.xml << 'XML'
<project><modelVersion>4.0.0</modelVersion><groupId>findings</groupId><artifactId>read</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>io.cloudevents</groupId><artifactId>cloudevents-json-jackson</artifactId><version>4.0.1</version>
  </dependency></dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=jars > log || { cat log; exit 1; }
go mod tidy 2> log || { cat log; exit 1; }
go build -p 1 -o read .
node write.js > JavaScript
venv/bin/python write.py > Python
for writer in JavaScript Python; do
  echo "$writer writes it as an object: $(grep -cE '"data": ?\{"n": ?1\}' "$writer") of 3"
  ./read < "$writer"
  java -cp "jars/*" Read.java < "$writer" 2> log || { cat log; exit 1; }
done | tee seen
diff seen - << 'EXPECTED'
JavaScript writes it as an object: 3 of 3
  Go: application/json read
  Go: application/problem+json refused
  Go: application/vnd.order+json refused
  Java: application/json read
  Java: application/problem+json read
  Java: application/vnd.order+json refused
Python writes it as an object: 3 of 3
  Go: application/json read
  Go: application/problem+json refused
  Go: application/vnd.order+json refused
  Java: application/json read
  Java: application/problem+json read
  Java: application/vnd.order+json refused
EXPECTED
echo "still so"
