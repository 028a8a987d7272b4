"""The proof: an engine's answers to the bundle's golden images, held to PyTorch's.

The same comparison is made by the first session of an engine that was built ahead of time.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeinspect.bundle import Bundle
from edgeinspect.constants import RuleConstants
from edgeinspect.engines import Proof, Receipt
from edgeinspect.errors import EngineError
from edgeinspect.gpu import Gpu
from edgeinspect.parity import Golden
from edgeinspect.runtime import proof
from edgeinspect.runtime.session import Session

__all__ = ["OpenPlan", "prove"]

OpenPlan = Callable[[bytes, Receipt, RuleConstants], Session]  # an engine that is not installed


def prove(bundle: Bundle, plan: bytes, receipt: Receipt, open_plan: OpenPlan, gpu: Gpu) -> Proof:
    """Run a plan on the golden images and compare.

    Raises: EngineError that names the images if it is beyond the budget; BundleError if the bundle
        has no golden outputs.
    """
    golden = Golden.load(bundle.golden_path)
    with open_plan(plan, receipt, golden.constants) as session:
        report = proof.prove(session, golden, receipt.key.precision)
    if not report.is_within:
        raise EngineError(
            f"the engine does not compute what was trained: {'; '.join(report.problems)}",
            hint="it was not installed; please report it with the bundle's card",
        )
    return proof.proof_of(report, gpu, f"{receipt.key.flavour} {receipt.key.version}")
