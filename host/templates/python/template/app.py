"""Words confirmations; all other mails keep the built-in words. Configuration: {"greeting": "Ahoy"}

Each call runs in a fresh instance: a variable kept here is gone the next time.
"""

import html
import json

# componentize-py makes wit_world of wit/boxoffice.wit when it builds.
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.notification_template import Rendered


class NotificationTemplate(exports.NotificationTemplate):
    """What the host calls: the interface notification-template, names in snake_case."""

    def render(self, request, config):
        if request.kind != "booking-confirmed":
            # The `err` of the WIT: a no, not a failure.
            raise Err("not mine")
        data = json.loads(request.data_json)
        title = data["event"]["title"]
        line = f"{json.loads(config)['greeting']} {data['recipient']['name']}, you are in: {title}."
        return Rendered(f"Your tickets: {title}"[:200], line, f"<p>{html.escape(line)}</p>")
