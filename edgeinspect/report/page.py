"""One HTML page of an inspection that needs no other file: verdicts, heat maps, curves, times.

The end of the demo's flow: what was judged becomes plain values here, and the template lays them
out. Pictures are inlined as data addresses and charts as SVG, so the page can be mailed.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.layout import GOOD
from edgeinspect.report.overlays import encode_jpeg
from edgeinspect.writing import write_atomically

__all__ = [
    "DemoLatency",
    "InspectionPage",
    "PartView",
    "inline_jpeg",
    "render",
    "render_page",
    "write_page",
]

TEMPLATE = "inspection.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartView:
    """One part as the page shows it.

    `truth` is "good" or the kind of defect, None where nobody knows. `picture` and `heat_map`
    are addresses for an `<img>`; `score_share` is score / threshold, cut to 0 to 2. A part that
    was not inspected has no score (None), and its share is 0.
    """

    name: str
    verdict: str
    reason: str | None
    truth: str | None
    score: float | None
    score_share: float
    latency_ms: float
    picture: str
    heat_map: str

    @property
    def judgement(self) -> str:
        """Verdict against truth: "right", "escape", "false reject" or "unknown"."""
        if self.truth is None or self.verdict not in ("OK", "NG"):
            return "unknown"
        if (self.verdict == "OK") == (self.truth == GOOD):
            return "right"
        return "escape" if self.verdict == "OK" else "false reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLatency:
    """Milliseconds from a decoded picture to its verdict, and from start to the first verdict."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    first_verdict_ms: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float], *, first_verdict_ms: float) -> DemoLatency:
        p50, p90, p99 = np.percentile(np.asarray(latencies_ms), [50, 90, 99])
        return cls(
            p50_ms=float(p50),
            p90_ms=float(p90),
            p99_ms=float(p99),
            first_verdict_ms=first_verdict_ms,
        )

    @property
    def rate_per_s(self) -> float:
        """Parts a second, one after the other, at the median."""
        return 1000 / self.p50_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionPage:
    """All that the page says. `charts` are SVG texts, `facts` what was run and on what."""

    title: str
    lead: str
    parts: tuple[PartView, ...]
    threshold: float
    auroc: float | None
    auroc_interval: tuple[float, float] | None
    latency: DemoLatency
    charts: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    next_commands: tuple[str, ...] = ()

    def count(self, verdict: str) -> int:
        return sum(part.verdict == verdict for part in self.parts)

    def count_judged(self, judgement: str) -> int:
        return sum(part.judgement == judgement for part in self.parts)


def render_page(page: InspectionPage) -> str:
    """The page as HTML text."""
    return render(TEMPLATE, page=page)


def render(template: str, **values: object) -> str:
    """A template of this package as HTML text; every value is escaped unless it is marked safe."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgeinspect.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def write_page(page: InspectionPage, path: Path) -> None:
    """Render into a file, whole or not at all. Raises: OutputError."""
    write_atomically(path, render_page(page).encode())


def inline_jpeg(picture: NDArray[np.uint8]) -> str:
    """The picture (H, W, 3), RGB, as a data address for an `<img>`."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(picture)).decode()
