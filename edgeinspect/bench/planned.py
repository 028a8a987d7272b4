"""What `plan` chose, taken by `run`: the settings in a bundle's manifest, unless others are given.

provenance["plan"] + options of the command line -> settings of the session
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgeinspect.bench.comparison import hardware_differences
from edgeinspect.bench.machine import read_hardware
from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.errors import BundleError, EngineError, MissingPackageError
from edgeinspect.runtime.opening import check_runtime, find_engine_here, pick_precision
from edgeinspect.runtime.session import AUTO

__all__ = ["SessionSettings", "settle"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How a session is opened; see `open_session`.

    `from_plan` holds those that nobody gave and the bundle's plan did, in JSON types.
    """

    runtime: str = AUTO
    precision: Precision | None = None
    batch: int = 1
    threads: int | None = None
    from_plan: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plan_words(self) -> str:
        """Such as "runtime onnxruntime, batch 4"; "" if nothing comes from a plan."""
        return ", ".join(f"{name} {value}" for name, value in self.from_plan.items())


def settle(
    bundle: Bundle,
    *,
    runtime: str | None = None,
    precision: Precision | None = None,
    batch: int | None = None,
    threads: int | None = None,
) -> SessionSettings:
    """The settings that were given, else those of the bundle's plan, else the usual ones.

    The plan's precision goes with its runtime, and is left out with it. Told: what comes from
    the plan, that it was made on other hardware, that its runtime cannot be used here.
    Raises: ConfigError if the plan holds a precision that there is not.
    """
    named = {"runtime": runtime, "precision": precision, "batch": batch, "threads": threads}
    given: dict[str, Any]
    given = {name: value for name, value in named.items() if value is not None}
    plan = bundle.manifest.provenance.get("plan")
    if plan is None:
        return SessionSettings(**given)
    taken = {name: plan[name] for name in named if plan.get(name) and name not in given}
    if not _is_usable(bundle, {**taken, **given}, plan.get("runtime", AUTO)):
        taken = {name: taken[name] for name in taken if name not in ("runtime", "precision")}
    settled = SessionSettings(**{**_typed(taken), **given}, from_plan=taken)
    _tell(bundle, plan, settled)
    return settled


def _is_usable(bundle: Bundle, wanted: Mapping[str, Any], planned: str) -> bool:
    """Whether it is the plan's runtime that is wanted, and this machine has what it needs."""
    if wanted.get("runtime") != planned:
        return False
    try:
        check_runtime(planned)
        if planned.startswith("tensorrt"):
            precision = pick_precision(bundle, planned, _typed(wanted).get("precision"))
            find_engine_here(bundle, planned, precision, wanted.get("batch", 1))
    except (BundleError, EngineError, MissingPackageError) as error:
        what = "%s was planned for %s, which cannot be used here; the usual runtime is taken: %s"
        _log.warning(what, bundle.path, planned, error)
        return False
    return True


def _typed(settings: Mapping[str, Any]) -> dict[str, Any]:
    if "precision" not in settings:
        return dict(settings)
    return {**settings, "precision": Precision.parse(settings["precision"])}


def _tell(bundle: Bundle, plan: Mapping[str, Any], settled: SessionSettings) -> None:
    if not settled.from_plan:
        return
    _log.info("settings of the bundle's plan: %s", settled.plan_words)
    before = plan.get("hardware")
    differences = [] if before is None else hardware_differences(before, asdict(read_hardware()))
    if differences:
        what = "%s was planned on other hardware (%s): what it promises may not hold; run: %s"
        _log.warning(what, bundle.path, "; ".join(differences), "edgeinspect plan")
