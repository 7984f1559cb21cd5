"""Sells cheaper or dearer by the weekday on which somebody books, in the event's zone.

Each call runs in a fresh instance: a variable kept here is gone the next time.
"""

import json
from datetime import date

# componentize-py makes wit_world of boxoffice.wit when it builds.
from wit_world import exports
from wit_world.exports.booking_policy import (
    Adjustment,
    CancellationDecision_Accept,
    Decision_Accept,
    Decision_Adjust,
)
from wit_world.imports.host import LogLevel, log

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class BookingPolicy(exports.BookingPolicy):
    """What the host calls: the interface booking-policy of boxoffice.wit, names in snake_case."""

    def validate_booking(self, request, config):
        percents = read_percents(config)
        # now.local has the event's zone applied already: no zone database is needed in here.
        weekday = WEEKDAYS[date.fromisoformat(request.now.local[:10]).weekday()]
        percent = percents.get(weekday, 0)
        if percent == 0:
            return Decision_Accept()
        prices = [(line.unit_price_minor * (100 + percent) + 50) // 100 for line in request.lines]
        return Decision_Adjust(Adjustment(prices, [f"{weekday.capitalize()}s: {percent:+d} %"], []))

    def validate_cancellation(self, request, config):
        return CancellationDecision_Accept()


def read_percents(config):
    """Reads `{"tuesday": -20}`. What is raised here ends the call, and the log says why."""
    percents = json.loads(config)
    for weekday, percent in percents.items():
        fits = type(percent) is int and -100 <= percent <= 100
        if weekday not in WEEKDAYS or not fits:
            reason = f"the configuration does not fit: {weekday}: {percent!r}"
            log(LogLevel.ERROR, reason)
            raise ValueError(reason)
    return percents
