#!/usr/bin/env python3
"""A real SMTP server (aiosmtpd) that tests steer.

Prints `listening HOST:PORT` once it accepts connections, and ends when its standard input does, so that it
never outlives the test that started it. Every mail it takes over becomes two files in --folder, written under
another name and renamed: `N.json` (the envelope) and then `N.eml` (the bytes as they came), and then a line of `log.jsonl`:
{"to": …, "messageId": …}. Connections that were cut on demand have lines as well: {"to": …, "cut": "in-data"}.

Faults, by the recipient's local part:
    refuse-550-x            RCPT is answered with 550 (any code), always
    later-451-2-x           RCPT is answered with 451 (any code) the first 2 times, then accepted
    slow-300-x              the reply after the final dot comes 300 ms late
    drop-after-dot-1-x      the first time, the mail is stored and the connection then cut without a reply
    drop-before-store-1-x   the first time, the connection is cut after the final dot and nothing is stored

Faults for everybody, from the JSON object in --control, read anew at every command:
    {"refuse": "451 4.3.0 busy"}          every RCPT is answered with this
    {"refuse": "550 …", "ending": "7"}    the same, only for local parts that end in 7
    {"cut": {"seed": 1, "atRecipient": 0.1, "inData": 0.1, "afterDot": 0.1}}
                                          connections are reset with these probabilities: at RCPT, after the first
                                          lines of the message, or after the mail was stored
    {"keep": "log"}                       mails are written down in the log and not kept as files
    {"delayMillis": 200}                  every reply after the final dot comes late
    {"hold": "before-store", "pass": 40}  once 40 mails are stored, further ones wait before they are stored
    {"hold": "after-store", "pass": 40}   the same, but they are stored and then wait for their reply
A held mail goes on as soon as the control file no longer says so. If its client goes away first, nothing more
happens to it.
"""

import argparse
import asyncio
import json
import os
import random
import re
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from aiosmtpd.smtp import SMTP

RULE = re.compile(r"^(refuse|later|slow|drop-after-dot|drop-before-store)-(\d+)(?:-(\d+))?-")
MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^>]*>)", re.IGNORECASE | re.MULTILINE)
POLL_SECONDS = 0.02


class Handler:
    """Decides about recipients and keeps mails; one for all connections."""

    def __init__(self, folder, control):
        self.folder = folder
        self.control_path = control
        self.attempts = Counter()
        self.stored = 0
        self.serial = 0
        self.log = (folder / "log.jsonl").open("a")
        self.random, self.seed = random.Random(), None

    def control(self):
        """What the test says now; no file means no fault."""
        try:
            return json.loads(self.control_path.read_text())
        except FileNotFoundError:
            return {}

    def first_times(self, what, address, times):
        """Whether this has happened fewer than `times` times to this address before."""
        self.attempts[what, address] += 1
        return self.attempts[what, address] <= times

    async def handle_RCPT(self, server, session, envelope, address, options):
        control = self.control()
        refusal = control.get("refuse")
        if refusal and address.split("@")[0].endswith(control.get("ending", "")):
            return refusal
        if self.cuts("atRecipient"):
            self.note({"to": address, "cut": "at-recipient"})
            return cut(server)
        rule = rule_of(address)
        if rule and rule[0] == "refuse":
            return f"{rule[1]} 5.1.1 no mailbox here by that name"
        if rule and rule[0] == "later" and self.first_times("later", address, rule[2]):
            return f"{rule[1]} 4.2.1 mailbox busy, try again"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 recipient ok"

    async def handle_DATA(self, server, session, envelope):
        rules = [rule for rule in map(rule_of, envelope.rcpt_tos) if rule]
        for name, number, _ in rules:
            if name == "drop-before-store" and self.first_times(name, envelope.rcpt_tos[0], number):
                return cut(server)
        await self.while_held(server, "before-store")
        self.store(envelope)
        if self.cuts("afterDot"):
            self.note({"to": envelope.rcpt_tos[0], "cut": "after-dot"})
            return cut(server)
        for name, number, _ in rules:
            if name == "drop-after-dot" and self.first_times(name, envelope.rcpt_tos[0], number):
                return cut(server)
            if name == "slow":
                await asyncio.sleep(number / 1000)
        await asyncio.sleep(self.control().get("delayMillis", 0) / 1000)
        await self.while_held(server, "after-store")
        return f"250 2.0.0 taken over as {self.serial}"

    async def while_held(self, server, where):
        """Waits as long as the test holds mails here. A client that goes away cancels this."""
        passed = 0 if where == "before-store" else 1
        while self.is_held(where, passed):
            await asyncio.sleep(POLL_SECONDS)
        if server.transport.is_closing():
            # The client is gone and the cancellation under way: this mail must not go on.
            await asyncio.Event().wait()

    def is_held(self, where, passed):
        control = self.control()
        return control.get("hold") == where and self.stored >= control.get("pass", 0) + passed

    def cuts(self, where):
        """Whether the control's dice say that a connection is to be reset here."""
        faults = self.control().get("cut", {})
        if faults.get("seed") != self.seed:
            self.seed = faults.get("seed")
            self.random.seed(self.seed)
        return where in faults and self.random.random() < faults[where]

    def store(self, envelope):
        self.stored += 1
        self.serial += 1
        if self.control().get("keep") != "log":
            name = f"{time.time_ns()}-{self.serial:06}"
            about = {"from": envelope.mail_from, "to": envelope.rcpt_tos}
            self.write(f"{name}.json", json.dumps(about).encode())
            self.write(f"{name}.eml", envelope.original_content)
        message_id = MESSAGE_ID.search(envelope.original_content)
        for address in envelope.rcpt_tos:
            self.note({"to": address, "messageId": message_id[1].decode() if message_id else ""})

    def note(self, line):
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def write(self, name, content):
        part = self.folder / f".{name}.part"
        part.write_bytes(content)
        part.rename(self.folder / name)


class Server(SMTP):
    """Also resets connections in the middle of a message."""

    async def smtp_DATA(self, arg):
        if self.envelope.rcpt_tos and self.event_handler.cuts("inData"):
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.readline()
            self.event_handler.note({"to": self.envelope.rcpt_tos[0], "cut": "in-data"})
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


def rule_of(address):
    """The fault an address asks for: (name, first number, second number or 1)."""
    match = RULE.match(address)
    return match and (match[1], int(match[2]), int(match[3] or 1))


def cut(server):
    """Resets the connection without a word. The reply is never seen; aiosmtpd wants one."""
    server.transport.abort()
    return "421 4.3.2 gone"


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


async def serve(arguments):
    arguments.folder.mkdir(parents=True, exist_ok=True)
    handler = Handler(arguments.folder, arguments.control)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Server(handler, hostname="smtp.test", loop=loop, timeout=120),
        host=arguments.host,
        port=arguments.port,
        backlog=1024,
    )
    host, port = server.sockets[0].getsockname()[:2]
    print(f"listening {host}:{port}", flush=True)
    await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description="SMTP server for tests")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
