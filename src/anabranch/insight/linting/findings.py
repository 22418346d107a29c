"""What lint found: an object, with text, HTML and JSON views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from anabranch._frames import bound_methods
from anabranch.graph import CallSite

SEVERITIES = ("error", "warning", "info")


@bound_methods
class Finding(NamedTuple):
    """One finding: what is found where, why it matters by which source, and the repair.

    Args:
        code: of the rule, e.g. ``AB203``.
        severity: ``"error"`` (the model cannot do what it is for), ``"warning"`` (probably a mistake) or ``"info"`` (works, and
            could be better).
        path: of the layer.
        site: the user's line that made it.
        what: what is found.
        why: why it matters.
        source: the paper or page that says so.
        repair: what to write.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> Model(x, layers.Dense(1, activation="softmax", name="out")(x)).lint()[0].path
        'out'
    """

    code: str
    severity: str
    path: str
    site: CallSite | None
    what: str
    why: str
    source: str
    repair: str

    def record(self) -> dict[str, str | int | None]:
        """Return the parts by name, file and line each by itself."""
        file, line = self.site or (None, None)
        return {
            "code": self.code, "severity": self.severity, "path": self.path, "file": file, "line": line,
            "what": self.what, "why": self.why, "source": self.source, "repair": self.repair,
        }  # fmt: skip

    @property
    def place(self) -> str:
        """Path, file and line, as far as they are known."""
        return " at ".join(filter(None, (self.path, str(self.site or ""))))


class Found(NamedTuple):
    """What a rule yields; ``severity`` "" is the rule's own."""

    path: str
    site: CallSite | None
    what: str
    repair: str
    severity: str = ""


@bound_methods
class Findings:
    """The findings of a model, the most severe first; true where there are any.

    Args:
        model: its name.
        found: the findings.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> found = Model(x, layers.Dense(1, activation="softmax", name="out")(x)).lint()
        >>> found.codes, bool(found), len(found)
        (['AB203'], True, 1)
    """

    def __init__(self, model: str, found: Iterable[Finding]) -> None:
        self.model = model
        self._found = sorted(found, key=lambda each: SEVERITIES.index(each.severity))  # stable: by the order of the graph

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> Finding:
        return self._found[index]

    @property
    def codes(self) -> list[str]:
        """The codes that were found, each once, in order."""
        return sorted({each.code for each in self._found})

    def of(self, severity: str) -> list[Finding]:
        """Return the findings of one severity.

        Args:
            severity: ``"error"``, ``"warning"`` or ``"info"``.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> found = Model(x, layers.Dense(1, activation="softmax", name="out")(x)).lint()
            >>> [finding.path for finding in found.of("error")]
            ['out']
        """
        return [each for each in self._found if each.severity == severity]

    def text(self) -> str:
        """Return a paragraph for each finding, and a line of counts.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> print(Model(x, layers.Dense(8)(x)).lint().text())
            functional: nothing found
        """
        if not self._found:
            return f"{self.model}: nothing found"
        counts = ", ".join(f"{len(self.of(each))} {each}" for each in SEVERITIES if self.of(each))
        return "\n".join([*map(_paragraph, self._found), f"{self.model}: {counts}"])

    def records(self) -> list[dict[str, str | int | None]]:
        """Return the findings as dicts, which pandas takes.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(1, activation="softmax", name="out")(x)).lint().records()[0]["code"]
            'AB203'
        """
        return [each.record() for each in self._found]

    def to_json(self) -> str:
        """Return model and findings as JSON.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(8)(x)).lint().to_json()
            '{"model": "functional", "findings": []}'
        """
        import json

        return json.dumps({"model": self.model, "findings": self.records()})

    def html(self) -> str:
        """Return a table as HTML, for notebooks.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(8)(x)).lint().html()
            '<p>functional: nothing found</p>'
        """
        from html import escape

        if not self._found:
            return f"<p>{escape(self.text())}</p>"
        head = "".join(f"<th>{each}</th>" for each in ("code", "severity", "where", "what", "why", "repair"))
        rows = [
            (each.code, each.severity, each.place, each.what, f"{each.why} ({each.source})", each.repair)
            for each in self._found
        ]
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<p>{escape(self.text().splitlines()[-1])}</p><table><tr>{head}</tr>{body}</table>"

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html()


def _paragraph(finding: Finding) -> str:
    place = f"{finding.place}: " if finding.place else ""
    return "\n".join(
        [
            f"{finding.code} {finding.severity}: {place}{finding.what}",
            f"  why:    {finding.why} ({finding.source})",
            f"  repair: {finding.repair}",
        ]
    )
