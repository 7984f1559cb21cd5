"""Changes a title, a ticket type and a setting with the generated client: what is not named stays as it was."""

import sys

from boxoffice_client import AuthenticatedClient
from boxoffice_client.api.events import (
    events_create,
    events_create_ticket_type,
    events_delete_ticket_type,
    events_merge,
    events_merge_ticket_type,
    events_show,
)
from boxoffice_client.api.tenant import tenant_change_settings, tenant_show_settings
from boxoffice_client.models import (
    CreateEventRequest,
    ErrorCode,
    EventPatchRequest,
    EventStatus,
    NewEventStatus,
    Problem,
    TenantSettingsPatchRequest,
    TicketTypePatchRequest,
    TicketTypeRequest,
)

base, owner, organizer = sys.argv[1:]
changes = AuthenticatedClient(base_url=base, token=organizer)
decides = AuthenticatedClient(base_url=base, token=owner)


def same(left, right, but=()):
    """Compares two answers member by member, all but those named."""
    left, right = left.to_dict(), right.to_dict()
    for name in but:
        left.pop(name), right.pop(name)
    assert left == right, f"{left}\n{right}"


request = CreateEventRequest(
    title="Jazz",
    date="2027-05-01T20:00",
    time_zone="Europe/Berlin",
    status=NewEventStatus.DRAFT,
    ticket_types=[
        TicketTypeRequest(name="Floor", capacity=100, price_minor=2500),
        TicketTypeRequest(name="Balcony", capacity=50, price_minor=4000),
    ],
)
made = events_create.sync(client=changes, body=request)
assert made.status == EventStatus.DRAFT and made.time_zone == "Europe/Berlin", made

# The title alone: neither published nor moved.
changed = events_merge.sync(made.id, client=changes, body=EventPatchRequest(title="Jazz Night"), if_match=f'"{made.version}"')
assert changed.title == "Jazz Night", changed
seen = events_show.sync(made.id, client=changes)
same(made, seen, but=("title", "version", "updatedAt"))

# A type's capacity alone: neither free nor without its neighbour.
etag = f'"{seen.version}"'
floor = events_merge_ticket_type.sync(made.id, made.ticket_types[0].id, client=changes, body=TicketTypePatchRequest(capacity=120), if_match=etag)
assert (floor.capacity, floor.price_minor, floor.name) == (120, 2500, "Floor"), floor
seen = events_show.sync(made.id, client=changes)
assert len(seen.ticket_types) == 2, seen
same(made.ticket_types[1], seen.ticket_types[1])

# A type comes and goes by itself.
box = events_create_ticket_type.sync(made.id, client=changes, body=TicketTypeRequest(name="Box", capacity=10, price_minor=9000))
seen = events_show.sync(made.id, client=changes)
assert [one.name for one in seen.ticket_types] == ["Floor", "Balcony", "Box"], seen
gone = events_delete_ticket_type.sync_detailed(made.id, box.id, client=changes, if_match=f'"{seen.version}"')
assert gone.status_code == 204, gone

# A setting alone.
before = tenant_show_settings.sync(client=decides)
after = tenant_change_settings.sync(
    client=decides, body=TenantSettingsPatchRequest(sender_name="North tickets"), if_match=f'"{before.version}"'
)
assert after.sender_name == "North tickets", after
same(before, after, but=("senderName", "version"))

# A refusal is a Problem with a code that the client knows.
stale = events_merge.sync(made.id, client=changes, body=EventPatchRequest(title="Late"), if_match='"1"')
assert isinstance(stale, Problem) and stale.code == ErrorCode.VERSION_MISMATCH, stale
print("a draft kept its status and zone, a ticket type its price, settings their values")
