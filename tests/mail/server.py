"""An SMTP server around a command: server.py SMTPUTF8|nothing COMMAND [ARGUMENT]...

The command finds it at SMTP_URL, whether it announces SMTPUTF8 in ANNOUNCES, and what it has received in the file RECEIVED, a line of
JSON for each email. It is told that the server speaks SMTPUTF8 (SMTP_UTF8) whether that is true or not.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller


class Received:
    """Notes every email before the server answers for it."""

    def __init__(self, path):
        self.path = path

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.SMTPUTF8)
        email = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "smtputf8": envelope.smtp_utf8,
            "to": str(message["To"]),
            "subject": str(message["Subject"]),
        }
        with open(self.path, "a", encoding="utf-8") as file:
            print(json.dumps(email), file=file)
        return "250 OK"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def main(announces, *command):
    with tempfile.NamedTemporaryFile() as received:
        smtp = Controller(
            Received(received.name),
            hostname="127.0.0.1",
            port=free_port(),
            enable_SMTPUTF8=announces == "SMTPUTF8",
        )
        smtp.start()
        settings = {
            "SMTP_URL": f"smtp://{smtp.hostname}:{smtp.port}",
            "SMTP_UTF8": "true",
            "ANNOUNCES": announces,
            "RECEIVED": received.name,
        }
        try:
            return subprocess.run(command, env=os.environ | settings).returncode
        finally:
            smtp.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
