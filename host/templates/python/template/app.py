"""Words confirmations; all other mails keep the built-in words. Configuration: {"greeting": "Ahoy"}

Each call runs in a fresh instance: a variable kept here is gone the next time.
"""

import html
import json

# componentize-py makes wit_world of wit/boxoffice.wit when it builds.
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.notification_template import Rendered
from wit_world.imports.host import LogLevel, log


class NotificationTemplate(exports.NotificationTemplate):
    """What the host calls: the interface notification-template, names in snake_case."""

    def render(self, request, config):
        greeting = settings(config)["greeting"]
        if request.kind != "booking-confirmed":
            # The `err` of the WIT: a no, not a failure.
            raise Err("not mine")
        data = json.loads(request.data_json)
        title = data["event"]["title"]
        line = f"{greeting} {data['recipient']['name']}, you are in: {title}."
        return Rendered(f"Your tickets: {title}"[:200], line, f"<p>{html.escape(line)}</p>")


def settings(config):
    """Reads the tenant's configuration. What does not fit ends the call, and the log says why; the built-in words stand in."""
    values = json.loads(config)
    for name in values:
        if name != "greeting":
            refuse(f"{name}: there is no such setting")
    if type(values.get("greeting")) is not str:
        refuse("greeting: a text is wanted")
    return values


def refuse(reason):
    log(LogLevel.ERROR, f"the configuration does not fit: {reason}")
    raise ValueError(reason)
