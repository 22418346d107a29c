"""lint: what is probably wrong with a model, by all rules; and the one warning of ``compile``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from anabranch import config
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import AnabranchError, ArgumentTypeError, shortened, unknown
from anabranch.graph import AnyModel, Operation
from anabranch.graph.call_site import warn
from anabranch.insight.linting.findings import Finding, Findings
from anabranch.insight.linting.program import LossFacts, Program
from anabranch.insight.linting.rulebook import Rule, rules


@checked
def lint(model: AnyModel, ignore: str | Collection[str] = (), select: str | Collection[str] = ()) -> Findings:
    """Return what is probably wrong with a model with a graph: findings with code, place, reason and repair.

    Args:
        model: the model.
        ignore: codes, or beginnings of codes (``"AB2"``), that are left out, as are those of ``config.ignore_findings``.
        select: codes, or beginnings of codes, that are looked for; () looks for all.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> print(lint(Model(x, layers.Dense(1, activation="softmax", name="out")(x))).codes)
        ['AB203']
    """
    return findings_of(model, ignore, select)


def findings_of(
    model: AnyModel,
    ignore: str | Collection[str],
    select: str | Collection[str],
    losses: Sequence[LossFacts | None] | None = None,
    refusals: Sequence[AnabranchError] = (),
) -> Findings:
    """Return what lint finds, with the losses of the outputs as far as they are known, and with what is wrong with data."""
    if not isinstance(model, Operation) or model._graph_ is None:
        raise ArgumentTypeError("lint takes a model with a graph.", got=shown(model))
    chosen, left_out = _codes(select, "select"), (*_codes(ignore, "ignore"), *config.ignored_findings())
    asked = [
        each for code, each in rules().items() if (not chosen or code.startswith(chosen)) and not code.startswith(left_out)
    ]
    return Findings(model.name, _found(asked, _program(model, losses, refusals)))


def warn_of_findings(model: AnyModel, losses: Sequence[LossFacts | None] | None) -> None:
    """Warn once, at the user's line, of errors and warnings that lint finds."""
    graph = model._graph_
    if graph is None:
        return
    left_out = config.ignored_findings()
    asked = [each for code, each in rules().items() if each.warned and not code.startswith(left_out)]
    found = [each for each in _found(asked, _program(model, losses)) if each.severity != "info"]
    if found:
        warn(_sentence(model.name, Findings(model.name, found)))


def _sentence(name: str, found: Findings) -> str:
    lines = [f"  {each.code} {each.place}: {each.what} Repair: {each.repair}." for each in found][:8]
    more = [f"  and {len(found) - len(lines)} more"] if len(found) > len(lines) else []
    codes = ", ".join(repr(code) for code in found.codes)
    end = f"model.lint() says why; config.ignore_findings({codes}) silences this."
    return "\n".join([f"Model {name!r} is probably not what is meant ({shortened(found.codes)}).", *lines, *more, end])


def _program(model: AnyModel, losses: Sequence[LossFacts | None] | None, refusals: Sequence[AnabranchError] = ()) -> Program:
    graph = model._graph_
    if graph is None:
        raise ArgumentTypeError("lint takes a model with a graph.", got=shown(model))
    return Program(graph, losses, refusals)


def _found(asked: Iterable[Rule], program: Program) -> list[Finding]:
    """Return what rules find, each once where a nested model runs several times."""
    found = {
        (rule.code, each.path, each.site, each.what): Finding(
            rule.code, each.severity or rule.severity, each.path, each.site, each.what, rule.why, rule.source, each.repair
        )
        for rule in asked
        for each in rule.check(program)
    }
    return list(found.values())


def _codes(given: str | Collection[str], name: str) -> tuple[str, ...]:
    codes = given.replace(",", " ").split() if isinstance(given, str) else given
    if not isinstance(codes, (list, tuple, set, frozenset)) or not all(isinstance(code, str) for code in codes):
        raise ArgumentTypeError(f"{name} holds codes such as 'AB101'.", got=shown(given))
    for code in codes:
        if not any(known.startswith(code) for known in rules()):
            raise unknown("code", code, rules())
    return tuple(codes)
