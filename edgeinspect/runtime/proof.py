"""Whether a session computes what was trained: the bundle's golden images, run and compared.

An engine is held to them after it was built, and again by its first session where it was built
for a GPU that the builder did not have.
"""

from __future__ import annotations

from edgeinspect.config import Precision
from edgeinspect.parity import Golden, ParityReport, budget_of, compare_outputs
from edgeinspect.runtime.session import Session, infer_all

__all__ = ["prove"]


def prove(session: Session, golden: Golden, precision: Precision) -> ParityReport:
    """Compare a session with what PyTorch in FP32 said.

    Args:
        session: opened with the constants of `golden`.
        precision: of its graph, which sets the budget.
    """
    found = infer_all(session, golden.images, golden.tile)
    budget = budget_of(precision)
    return compare_outputs(golden, found, golden.constants, budget, names=golden.names)
