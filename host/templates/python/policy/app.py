"""Limits how many tickets one booking may hold. Configuration: {"ticketsMax": 4}

Each call runs in a fresh instance: a variable kept here is gone the next time.
"""

import json

# componentize-py makes wit_world of wit/boxoffice.wit when it builds.
from wit_world import exports
from wit_world.exports.booking_policy import (
    CancellationDecision_Accept,
    Decision_Accept,
    Decision_Reject,
    Rejection,
)
from wit_world.imports.host import LogLevel, log


class BookingPolicy(exports.BookingPolicy):
    """What the host calls: the interface booking-policy, names in snake_case."""

    def validate_booking(self, request, config):
        tickets_max = settings(config)["ticketsMax"]
        tickets = sum(line.quantity for line in request.lines)
        if tickets <= tickets_max:
            return Decision_Accept()
        log(LogLevel.INFO, f"{tickets} tickets are too many")
        return Decision_Reject(Rejection("too-many-tickets", f"Up to {tickets_max} tickets a booking."))

    def validate_cancellation(self, request, config):
        return CancellationDecision_Accept()


def settings(config):
    """Reads the tenant's configuration. What does not fit ends the call, which refuses the booking, and the log says why."""
    values = json.loads(config)
    for name in values:
        if name != "ticketsMax":
            refuse(f"{name}: there is no such setting")
    if type(values.get("ticketsMax")) is not int or values["ticketsMax"] < 1:
        refuse("ticketsMax: a whole number from 1 on is wanted")
    return values


def refuse(reason):
    log(LogLevel.ERROR, f"the configuration does not fit: {reason}")
    raise ValueError(reason)
