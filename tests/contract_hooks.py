"""What schemathesis is told beyond the document (SCHEMATHESIS_HOOKS in contract.py): how a component travels, and a rule of ours."""

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario
from schemathesis.transport.requests import REQUESTS_TRANSPORT, binary_serializer

REQUESTS_TRANSPORT.serializer("application/wasm")(binary_serializer)


@schemathesis.check
def missed_header_refused(ctx, response, case):
    """A request without a header that it needs is refused.

    In place of schemathesis' own check, which wants 401 even where something else is wrong with the request, too, and does not
    know 428 (RFC 6585, 3).
    """
    data = case.meta.phase.data if case.meta else None
    is_missed = (
        isinstance(data, CoveragePhaseData)
        and data.scenario == CoverageScenario.MISSING_PARAMETER
        and data.parameter_location == ParameterLocation.HEADER
        and data.parameter
    )
    if is_missed:
        assert 400 <= response.status_code < 500, f"{response.status_code} without the header {data.parameter}"
