"""Checks the API's contract from outside: schemathesis sends what /openapi.json allows, and what it forbids, to a live host.

Every role sends requests of its own to a host with a tenant, people and an event, and each answer must be one that the document
describes: its status, headers, type and form, no 5xx, nothing taken that the document forbids, no method it does not know.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import tools

PACKAGE = "schemathesis==4.32.5"
PASSWORD = "correct horse battery"
SEED = 20261123
ROLES = ("owner", "organizer", "customer", "operator")
# Seconds of one role, and cases of one operation in the phase that makes them up. In all, less than two minutes.
SHORT, LONG = (22, 8), (300, 100)
# All that hold for every answer. Left out is `positive_data_acceptance`: what the document allows may still be refused, because
# an event is over, a zone does not exist, an end lies before its beginning; and no document says all that.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missed_header_refused",
    "documented_code",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
)
# A precondition that fails is answered before the body's rules (RFC 9110, 13.2.1), so that 412 refuses bad data, too.
CONFIG = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429]
"""
# 503 stands in the document and is an answer to a host that is too busy, not to these requests; all else above 499 is our fault.
START_SECONDS = 60


def works(folder):
    return tools.has_package(folder, PACKAGE, "schemathesis")


def wrong(program, package, is_long, python):
    """What is wrong, an empty list if nothing is; prints how many cases were sent."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        host = Host(program, folder)
        try:
            return [f"{role}: {one}" for role in ROLES for one in ask(host, role, package, is_long, python, folder)]
        finally:
            host.end()


class Host:
    """A running host with a tenant, people, and one of everything."""

    def __init__(self, program, folder):
        config = folder / "boxoffice.toml"
        config.write_text(
            f"""
[store]
url = "{folder / 'data'}"
[auth]
keys = [{{ id = "contract", secret = "a secret of tests, at least 32 bytes long" }}]
[tickets]
keys = [{{ id = "contract", secret = "another secret, at least 32 bytes long too" }}]
[links]
public_url = "http://127.0.0.1"
keys = [{{ id = "contract", secret = "a third secret, at least 32 bytes long too" }}]
[http]
throttle_logins = false
client_requests_per_minute = 0
tenant_requests_per_minute = 0
[logs]
level = "warn,surrealkv=error"
"""
        )
        clean = tools.clean_environment()
        clean["BOXOFFICE_METRICS__LISTEN"] = ""

        def run(*words):
            ended = subprocess.run(
                [program, *words, "--config", config], input=PASSWORD + "\n", capture_output=True, text=True, env=clean
            )
            if ended.returncode:
                raise RuntimeError(f"boxoffice {' '.join(words)}: {ended.stderr}")

        run("tenant", "add", "north", "--organizers-may-register")
        run("operator", "add", "--email", "operator@north.test", "--name", "Olivia", "--password-stdin")
        for name, role in (("owner", "owner"), ("organizer", "organizer"), ("customer", "customer"), ("leaver", "customer")):
            run("user", "add", "--tenant", "north", "--role", role, "--email", f"{name}@north.test", "--name", name, "--password-stdin")
        self.log = (folder / "host.log").open("w+")
        command = [program, "serve", "--worker", "--listen", "127.0.0.1:0", "--config", config]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=clean)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the host did not start: {self.said()}")
        self.base = line.split()[-1]
        self.things = self.fill()

    def call(self, method, path, token=None, body=None, **headers):
        request = urllib.request.Request(f"{self.base}{path}", method=method)
        request.add_header("X-Tenant", "north")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()}") from error

    def token(self, role):
        path = "/api/operator/login" if role == "operator" else "/api/auth/login"
        return self.call("POST", path, body={"email": f"{role}@north.test", "password": PASSWORD})["token"]

    def fill(self):
        """Ids of real things by what stands before them in a path."""
        organizer, customer = self.token("organizer"), self.token("customer")
        event = self.call("POST", "/api/events", organizer, {"title": "Jazz", "startsAt": "2027-03-01T19:00:00Z", "totalTickets": 500})
        booking = self.call("POST", "/api/bookings", customer, {"eventId": event["id"], "numTickets": 2})
        hold = self.call("POST", "/api/holds", customer, {"eventId": event["id"], "numTickets": 1})
        change = self.call("PATCH", f"/api/events/{event['id']}", organizer, {"location": "New Hall"}, If_Match='"1"')
        deliveries = self.call("GET", f"/api/bookings/{booking['id']}/deliveries", customer)
        # Owners suspend and erase this one.
        leaver = self.call("GET", "/api/auth/me", self.token("leaver"))
        return {
            "events": event["id"],
            "ticket-types": event["ticketTypes"][0]["id"],
            "bookings": booking["id"],
            "holds": hold["id"],
            "notifications": change["notification"]["id"],
            "deliveries": deliveries["items"][0]["id"],
            "users": leaver["id"],
            "tenants": "north",
            "operators": "nobody@north.test",
        }

    def description(self):
        """The document, its examples naming things that are there."""
        document = self.call("GET", "/openapi.json")
        # They would sign out who asks, or end the account.
        del document["paths"]["/api/auth/me/sessions"]
        del document["paths"]["/api/auth/me/erase"]
        for path, operations in document["paths"].items():
            for operation in operations.values():
                for parameter in operation.get("parameters", []):
                    found = re.search(r"/([\w-]+)/\{" + parameter["name"] + r"\}", path)
                    thing = found and self.things.get(found.group(1))
                    if thing and parameter["in"] == "path":
                        parameter["example"] = thing
        text = json.dumps(document)
        for old in set(re.findall(r'"eventId": "([^"]+)"', text)):
            text = text.replace(old, self.things["events"])
        return text

    def said(self):
        self.log.seek(0)
        return self.log.read()[-4000:]

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def ask(host, role, package, is_long, python, folder):
    """Lets one role ask, and answers what was wrong."""
    seconds, cases = LONG if is_long else SHORT
    document, report = folder / f"{role}.json", folder / f"{role}-report.ndjson"
    document.write_text(host.description())
    (folder / "schemathesis.toml").write_text(CONFIG)
    # A session of its own, so that it is not over before the end.
    headers = [f"Authorization: Bearer {host.token(role)}", "X-Tenant: north"]
    command = [python, "-m", "schemathesis.cli", "run", document, "--url", host.base, "--no-color"]
    command += ["--checks", ",".join(CHECKS), "--seed", str(SEED), "--max-examples", str(cases), "--max-time", str(seconds)]
    command += ["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--workers", "2", "--generation-database", "none"]
    command += ["--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "30"]
    command += ["--report-ndjson-path", report]
    for header in headers:
        command += ["--header", header]
    paths = os.pathsep.join([str(package), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "SCHEMATHESIS_HOOKS": "contract_hooks", "PYTHONDONTWRITEBYTECODE": "1"}
    begun = time.monotonic()
    # Its own bound ends it; this one is for what hangs.
    ended = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, errors="replace", timeout=seconds + 120
    )
    summary = [line.strip() for line in ended.stdout.splitlines() if re.search(r"^\s*(\d+ generated|Tested:|Seed:)", line)]
    print(f"-- {role}: {time.monotonic() - begun:.0f} s, seed {SEED}: {'; '.join(summary)}", flush=True)
    if ended.returncode == 0:
        return []
    if host.process.poll() is not None:
        return [f"the host ended:\n{host.said()}"]
    return [f"{ended.stdout[-20000:]}{ended.stderr[-4000:]}"]
