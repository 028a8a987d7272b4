"""The proof: an engine's answers to the bundle's golden images, held to PyTorch's.

The same comparison is made by the builder before an engine is installed, and by the first session
of one that was built ahead of time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.engines import BatchRange, Proof, Receipt
from edgeinspect.errors import EngineError
from edgeinspect.gpu import Gpu
from edgeinspect.parity import (
    FP16_BUDGET,
    FP32_BUDGET,
    Golden,
    ParityReport,
    compare_outputs,
)
from edgeinspect.runtime.session import Scores, Session

__all__ = ["OpenPlan", "prove"]

OpenPlan = Callable[[bytes, Receipt, RuleConstants], Session]  # an engine that is not installed


def prove(bundle: Bundle, plan: bytes, receipt: Receipt, open_plan: OpenPlan, gpu: Gpu) -> Proof:
    """Run a plan on the golden images and compare.

    Raises: EngineError that names the images if it is beyond the budget; BundleError if the bundle
        has no golden outputs.
    """
    golden = Golden.load(bundle.path / "golden.npz")
    with open_plan(plan, receipt, golden.constants) as session:
        scores = _infer(session, golden, receipt.key.batch)
    budget = FP16_BUDGET if receipt.key.precision is Precision.FP16 else FP32_BUDGET
    report = compare_outputs(golden, scores, golden.constants, budget, names=golden.names)
    if not report.is_within:
        raise EngineError(
            f"the engine does not compute what was trained: {'; '.join(report.problems)}",
            hint="it was not installed; please report it with the bundle's card",
        )
    return _proof(report, gpu)


def _infer(session: Session, golden: Golden, batch: BatchRange) -> Scores:
    """Answers in calls that the engine takes: its largest, the last filled up with repeats."""
    n = len(golden.images)
    parts = []
    for start in range(0, n, batch.largest):
        take = min(batch.largest, n - start)
        index = [min(start + i, n - 1) for i in range(max(take, batch.smallest))]
        scores = session.infer(golden.images[index], golden.tile[index])
        parts.append(scores.split([take, len(index) - take])[0])
    return Scores.join(parts)


def _proof(report: ParityReport, gpu: Gpu) -> Proof:
    return Proof(
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        n_images=report.n_images,
        n_ties=report.n_ties,
        score_error=report.score_error,
        map_error=report.map_error,
        map_correlation=report.map_correlation,
        n_scale_changes=report.n_scale_changes,
    )
