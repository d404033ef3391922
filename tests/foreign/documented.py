"""What an AsyncAPI document says about asking a service for something by message, for somebody who knows nothing else."""

import jsonschema
import yaml


class Documented:
    """The operation in which a service receives messages of type `kind`, and replies."""

    def __init__(self, path, kind):
        with open(path, encoding="utf-8") as file:
            self.document = yaml.safe_load(file)
        operation = self.document["operations"][f"receive{kind}"]
        assert operation["action"] == "receive", operation
        self.topic = self._at(operation["channel"])["address"]
        messages = [self._at(message) for message in operation["messages"]]
        by_content = {message["contentType"]: message for message in messages}
        self.binary = by_content["application/json"]
        self.structured = by_content["application/cloudevents+json"]
        reply = operation["reply"]
        # None where the message itself says where it is answered: then in this header.
        self.reply_topic = self._at(reply["channel"])["address"]
        self.reply_header = reply.get("address", {}).get("location", "").removeprefix("$message.header#/")
        replies = [self._at(message) for message in reply["messages"]]
        self.replies = {self.type_of(message): message for message in replies}

    def _at(self, reference):
        """What a reference leads to, through others."""
        while "$ref" in reference:
            found = self.document
            for step in reference["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            reference = found
        return reference

    def type_of(self, message):
        """The type that messages of this kind have."""
        (kind,) = self._at(message["headers"])["properties"]["ce_type"]["enum"]
        return kind

    def conforms(self, value, schema):
        """Raises an error if `value` is not what `schema` allows."""
        whole = {**schema, "components": self.document["components"]}
        jsonschema.validate(value, whole, jsonschema.Draft7Validator, format_checker=jsonschema.FormatChecker())
