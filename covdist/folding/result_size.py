"""Results much larger than the arrays that they are made of, which are not written unless forced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from covdist.engine.plan import Plan, human_bytes
from covdist.errors import PlanError, shown
from covdist.folding.request import Request
from covdist.limits import limits


def check_size(requests: Mapping[str, Request], plans: Mapping[str, Plan]) -> None:
    """Raise PlanError where the results of some arrays, by their paths, are together too large to be written."""
    if refused := refusal(requests, plans):
        raise PlanError(refused)


def refusal(requests: Mapping[str, Request], plans: Mapping[str, Plan]) -> str:
    """Return why the results of some arrays would not be written unless forced; an empty string where they would."""
    written = sum(plan.bytes_written for plan in plans.values())
    made_of = _array_bytes(requests.values())
    floor = limits().oversized_result_bytes
    if written <= max(made_of, floor):
        return ""
    path, plan = max(plans.items(), key=lambda item: item[1].bytes_written)
    request = requests[path]
    name, size = shown(path or request.source), human_bytes(plan.bytes_written)
    whole = f"{len(plans):,} arrays" if len(plans) > 1 else name
    largest = f", {size} of it for {name}" if len(plans) > 1 else ""
    return (
        f"the result of {whole} would take {human_bytes(written)}{largest}; expected no more than the "
        f"{human_bytes(made_of)} that it is made of, or {human_bytes(floor)}: {_advice(request)}, or write it all the "
        "same with --force"
    )


def _array_bytes(requests: Iterable[Request]) -> int:
    arrays = {side.name: int(side.data.nbytes) for request in requests for side in request.sides}
    return sum(arrays.values())


def _advice(request: Request) -> str:
    advice, groups = [], request.groups
    if groups is not None:
        advice.append(
            f"choose a --by of fewer groups than the {len(groups.values):,} of {shown(groups.dim)!r}, or none"
        )
    if request.state.sides == 1 and any(len(field.axes) > 1 for field in request.state.FIELDS.values()):
        advice.append("keep no matrices, by --state variances or a smaller --max-columns")
    return ", ".join(advice or ["choose fewer arrays with --layer and --var"])
