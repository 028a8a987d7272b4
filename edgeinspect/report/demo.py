"""The demo: synthetic parts, judged by the bundle that ships in the package, told as one page.

Shows on any machine, seconds after the install, what the product does: the same inspector as
`run` and the same charts as `evaluate`. The parts come from the surface that the packaged bundle
was trained on, with other random numbers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect import __version__
from edgeinspect.data.layout import GOOD
from edgeinspect.doctor import read_machine
from edgeinspect.errors import OutputError
from edgeinspect.metrics import auroc, auroc_interval, roc_curve
from edgeinspect.numbers import percent
from edgeinspect.report.charts import Curve, ScoreGroup, roc_chart, score_chart
from edgeinspect.report.overlays import blend_heat
from edgeinspect.report.page import DemoLatency, InspectionPage, PartView, inline_jpeg, write_page
from edgeinspect.runtime.inspection import Inspection
from edgeinspect.runtime.inspector import Inspector, open_inspector
from edgeinspect.runtime.onnxruntime_graph import load_onnxruntime
from edgeinspect.writing import output_errors

__all__ = ["PACKAGED_BUNDLE", "PAGE", "DemoPart", "demo_parts", "make_demo"]

PACKAGED_BUNDLE = Path(__file__).parents[1] / "demo_bundle"
PAGE = "index.html"
PART_PX = 256
# The packaged bundle was trained on: edgeinspect synth OUT --surface brushed --seed 0
TRAINED_FINISH, TRAINED_SEED = "brushed", 0
SEVERITIES = (0.5, 1.2)  # from what a person has to look for to what nobody overlooks
COMMANDS = (
    "edgeinspect synth metal --surface brushed",
    "edgeinspect fit metal/train/good part.bundle --minutes 10",
    "edgeinspect run part.bundle metal/test --out results",
)

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DemoPart:
    """One synthetic part: picture (H, W, 3) RGB and what was made of it ("good" or the kind)."""

    name: str
    picture: Picture
    truth: str

    @property
    def is_defect(self) -> bool:
        return self.truth != GOOD


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judged:
    part: DemoPart
    inspection: Inspection
    latency_ms: float


def make_demo(
    out: Path,
    *,
    bundle: Path = PACKAGED_BUNDLE,
    n_good: int = 12,
    n_per_kind: int = 3,
    seed: int = 0,
    threads: int | None = None,
    force: bool = False,
) -> InspectionPage:
    """Make parts, judge them one after the other, and write `out/index.html`.

    Raises: OutputError if there is a page already (and not `force`) or nothing can be written;
        BundleError, NotCalibratedError, EngineError as opening a bundle does.
    """
    _check_free(out, force=force)
    parts = demo_parts(n_good=n_good, n_per_kind=n_per_kind, seed=seed)
    start = time.perf_counter()
    with open_inspector(bundle, threads=threads) as inspector:
        inspector(parts[0].picture)
        first_verdict_ms = 1e3 * (time.perf_counter() - start)
        judged = [_judge(inspector, part) for part in parts]
        latency = DemoLatency.of([j.latency_ms for j in judged], first_verdict_ms=first_verdict_ms)
        page = _page(inspector, judged, latency, seed=seed)
    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_page(page, out / PAGE)
    return page


def demo_parts(*, n_good: int, n_per_kind: int, seed: int) -> list[DemoPart]:
    """Good parts and every kind of defect from faint to strong, in a random order."""
    from edgeinspect.data.synthetic.dataset import look_of
    from edgeinspect.data.synthetic.defects import DefectKind
    from edgeinspect.data.synthetic.pasting import paste_defect
    from edgeinspect.data.synthetic.surfaces import Finish, render_surface

    rng = np.random.default_rng(seed)
    surface = look_of(Finish(TRAINED_FINISH), TRAINED_SEED)
    made = [(render_surface(surface, rng, PART_PX), GOOD) for _ in range(n_good)]
    for kind in DefectKind:
        for severity in np.linspace(*SEVERITIES, n_per_kind):
            good = render_surface(surface, rng, PART_PX)
            pasted = paste_defect(good, rng, severity=float(severity), kinds=[kind])
            made.append((pasted.picture, kind.value))
    order = rng.permutation(len(made))
    return [
        DemoPart(name=f"part {place + 1:02d}", picture=made[i][0], truth=made[i][1])
        for place, i in enumerate(order)
    ]


def _check_free(out: Path, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file", hint="choose another --out")
    if os.path.lexists(out / PAGE) and not force:
        raise OutputError(f"{out / PAGE} exists", hint="add --force to replace it")


def _judge(inspector: Inspector, part: DemoPart) -> _Judged:
    start = time.perf_counter()
    inspection = inspector(part.picture)
    latency_ms = 1e3 * (time.perf_counter() - start)
    return _Judged(part=part, inspection=inspection, latency_ms=latency_ms)


def _page(
    inspector: Inspector, judged: Sequence[_Judged], latency: DemoLatency, *, seed: int
) -> InspectionPage:
    scored = [j for j in judged if j.inspection.reason is None]
    scores = np.array([j.inspection.score for j in scored], float)
    is_defect = np.array([j.part.is_defect for j in scored], bool)
    n_defects = sum(j.part.is_defect for j in judged)
    return InspectionPage(
        title=f"Inspection of {len(judged)} synthetic parts",
        lead=(
            f"{len(judged) - n_defects} good parts and {n_defects} with a defect, drawn by a"
            " program and judged by a small model. The page shows what edgeinspect does; how well"
            " it does it on your parts, only your parts can tell."
        ),
        parts=tuple(_view(j) for j in judged),
        threshold=inspector.threshold,
        auroc=auroc(scores, is_defect) if scored else None,
        auroc_interval=auroc_interval(scores, is_defect) if scored else None,
        latency=latency,
        charts=_charts(scored, scores, is_defect, inspector.threshold),
        facts=_facts(inspector, seed=seed),
        next_commands=COMMANDS,
    )


def _view(judged: _Judged) -> PartView:
    part, inspection = judged.part, judged.inspection
    score = inspection.score if inspection.reason is None else None
    share = 0.0 if score is None else float(np.clip(score / inspection.threshold, 0, 2))
    return PartView(
        name=part.name,
        verdict=inspection.verdict.value,
        reason=None if inspection.reason is None else inspection.reason.value,
        truth=part.truth,
        score=score,
        score_share=share,
        latency_ms=judged.latency_ms,
        picture=inline_jpeg(part.picture),
        heat_map=inline_jpeg(_heat(part.picture, inspection)),
    )


def _heat(picture: Picture, inspection: Inspection) -> Picture:
    if inspection.anomaly_map is None or inspection.map_level is None:
        return picture
    return blend_heat(picture, inspection.anomaly_map, level=inspection.map_level)


def _charts(
    scored: Sequence[_Judged],
    scores: NDArray[np.float64],
    is_defect: NDArray[np.bool_],
    threshold: float,
) -> tuple[str, ...]:
    if is_defect.all() or not is_defect.any():
        return ()
    fpr, tpr = roc_curve(scores, is_defect)
    fp, tp = (float(np.mean(scores[mask] > threshold)) for mask in (~is_defect, is_defect))
    area = auroc(scores, is_defect)
    curve = Curve(label="this bundle", fpr=fpr, tpr=tpr, area=area, is_main=True, point=(fp, tp))
    truths = np.array([j.part.truth for j in scored])
    groups = [
        ScoreGroup(label=str(truth), scores=scores[truths == truth], is_defect=truth != GOOD)
        for truth in np.unique(truths)
    ]
    return roc_chart([curve]), score_chart(groups, threshold=threshold)


def _facts(inspector: Inspector, *, seed: int) -> tuple[tuple[str, str], ...]:
    """What was run, and on what: enough to do it again."""
    bundle, machine = inspector.bundle, read_machine()
    calibration, generator = bundle.require_calibration(), bundle.config.generator
    threshold = calibration.threshold
    versions = [f"{one.__name__} {one.__version__}" for one in (load_onnxruntime(), np)]
    return (
        ("bundle", f"{bundle.name}, preset {bundle.config.preset}, form {generator.form.value}"),
        ("image", f"{generator.size} x {generator.size} px"),
        ("score", f"{calibration.rule.value} of {', '.join(calibration.measures)}"),
        (
            "threshold",
            f"{threshold.value:.3f}, for {percent(threshold.false_reject_rate)} of good parts"
            f" rejected, from {threshold.n_good} good parts ({threshold.method})",
        ),
        ("runtime", inspector.runtime),
        ("CPU", f"{machine.cpu}, {machine.n_cores} cores"),
        ("system", machine.system),
        (
            "versions",
            ", ".join([f"edgeinspect {__version__}", f"Python {machine.python}", *versions]),
        ),
        ("parts", f"seed {seed}"),
        ("made", datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")),
    )
