"""What schemathesis is told beyond the document (SCHEMATHESIS_HOOKS in contract.py): how a component travels, and a rule of ours."""

import ast
import threading

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario
from schemathesis.transport.requests import REQUESTS_TRANSPORT, binary_serializer

# Some releases of CPython 3.11 fail when two threads make trees at once (python/cpython#106905), and hypothesis does.
parse, parsing = ast.parse, threading.Lock()


def parse_alone(*arguments, **options):
    with parsing:
        return parse(*arguments, **options)


ast.parse = parse_alone
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


@schemathesis.check
def documented_code(ctx, response, case):
    """The code of a refusal is one of those that the description names for this operation and status."""
    if response.status_code < 400:
        return
    answers = case.operation.definition.raw["responses"]
    codes = answers.get(str(response.status_code), {}).get("x-error-codes")
    # Statuses that are not described are another check's concern.
    if codes is not None:
        code = response.json()["code"]
        assert code in codes, f"{code} is not among {codes}"
