"""Whether a session computes what was trained: the bundle's golden images, run and compared.

An engine is held to them after it was built, and again by its first session where it was built
for a GPU that the builder did not have.
"""

from __future__ import annotations

from datetime import datetime, timezone

from edgeinspect.config import Precision
from edgeinspect.engines import Proof
from edgeinspect.gpu import Gpu
from edgeinspect.parity import Golden, ParityReport, budget_of, compare_outputs
from edgeinspect.runtime.session import Session, infer_all

__all__ = ["proof_of", "prove"]


def prove(session: Session, golden: Golden, precision: Precision) -> ParityReport:
    """Compare a session with what PyTorch in FP32 said.

    Args:
        session: opened with the constants of `golden`.
        precision: of its graph, which sets the budget.
    """
    found = infer_all(session, golden.images, golden.tile)
    budget = budget_of(precision)
    return compare_outputs(
        golden, found, golden.constants, budget, n_placed=golden.n_placed, names=golden.names
    )


def proof_of(report: ParityReport, gpu: Gpu, runtime: str) -> Proof:
    """What a receipt keeps of a comparison that was passed under `runtime` (`Proof`)."""
    return Proof(
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        runtime=runtime,
        at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        n_images=report.n_images,
        n_ties=report.n_ties,
        score_error=report.score_error,
        map_error=report.map_error,
        map_correlation=report.map_correlation,
        n_scale_changes=report.n_scale_changes,
    )
