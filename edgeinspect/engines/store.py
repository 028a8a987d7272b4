"""`engines/` of a bundle: `<fingerprint>.plan`, and `<fingerprint>.json`, its receipt.

The receipt is written last and is what makes a plan an engine: a plan without one, which a build
that was killed may leave, is nothing, and the next build of its fingerprint replaces it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.bundle import Bundle, bundle_lock, read_bundle, read_manifest
from edgeinspect.config import Precision
from edgeinspect.engines.receipt import OPEN_TARGET, VERSION_COMPATIBLE, EngineKey, Proof, Receipt
from edgeinspect.errors import BundleError, EngineError
from edgeinspect.writing import output_errors, write_atomically

__all__ = [
    "FOLDER",
    "Engine",
    "build_lock",
    "find_engine",
    "graph_sha256",
    "install_engine",
    "list_engines",
    "record_proof",
]

_log = logging.getLogger(__name__)

FOLDER = "engines"
LOCK = ".build.lock"
POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine of a bundle: its receipt, and where its plan lies."""

    plan_path: Path
    receipt: Receipt

    @property
    def receipt_path(self) -> Path:
        return self.plan_path.with_suffix(".json")

    def read_plan(self) -> bytes:
        """The plan, found whole. Raises: EngineError if it is missing, damaged or truncated."""
        again = f"run: edgeinspect build-engine {self.plan_path.parent.parent} --force"
        try:
            plan = self.plan_path.read_bytes()
        except OSError as error:
            raise EngineError(
                f"cannot read the plan {self.plan_path}: {error.strerror}", hint=again
            ) from error
        expected = self.receipt.plan_bytes
        if len(plan) != expected:
            raise EngineError(
                f"the plan {self.plan_path} has {len(plan)} bytes of {expected}", hint=again
            )
        if hashlib.sha256(plan).hexdigest() != self.receipt.plan_sha256:
            raise EngineError(
                f"the plan {self.plan_path} is damaged: its sha256 is not the receipt's",
                hint=again,
            )
        return plan


def graph_sha256(bundle: Bundle, precision: Precision) -> str:
    """Hash of a bundle's graph with its weights. Raises: BundleError if it has no such graph.

    The weights are the files of the bundle whose names stand in the graph.
    """
    graph = bundle.graph_path(precision)
    data = graph.read_bytes()
    files = bundle.manifest.files
    parts = [name for name in sorted(files) if name == graph.name or name.encode() in data]
    text = "\n".join(f"{name} {files[name]}" for name in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def list_engines(bundle_path: Path) -> list[Engine]:
    """The engines of a bundle, newest first; a receipt that cannot be read is left out, told."""
    engines = []
    for path in sorted((bundle_path / FOLDER).glob("*.json")):
        try:
            receipt = Receipt.from_bytes(path.read_bytes(), where=path)
        except (EngineError, OSError) as error:
            _log.warning("left out: %s", error)
            continue
        engines.append(Engine(plan_path=path.with_suffix(".plan"), receipt=receipt))
    return sorted(engines, key=lambda e: e.receipt.built_at, reverse=True)


def find_engine(bundle_path: Path, wanted: EngineKey, *, batch: int | None = None) -> Engine:
    """The engine of a bundle that fits what is wanted.

    Args:
        batch: tiles in one call. Given, any engine that runs will do: one whose range holds them,
            one for an open target, one that is version-compatible whatever its version. None:
            the key is meant as it is, as a builder does.
    Raises: EngineError that says in words in what the nearest engine differs, and the command
        that builds one that fits.
    """
    engines = list_engines(bundle_path)
    misfits = [(_misfits(engine.receipt.key, wanted, batch), engine) for engine in engines]
    for misfit, engine in misfits:
        if not misfit:
            return engine
    hint = f"run: {_build_command(bundle_path, wanted, batch)}"
    if not misfits:
        raise EngineError(f"{bundle_path} has no engine", hint=hint)
    misfit, nearest = min(misfits, key=lambda pair: len(pair[0]))
    raise EngineError(
        f"no engine of {bundle_path} fits; the nearest, {nearest.receipt.fingerprint}, has"
        f" {', '.join(misfit)}",
        hint=hint,
    )


def _misfits(key: EngineKey, wanted: EngineKey, batch: int | None) -> tuple[str, ...]:
    if batch is None:
        return key.differences(wanted)
    runs = dataclasses.replace(wanted, batch=key.batch, flags=key.flags)
    if VERSION_COMPATIBLE in key.flags:
        runs = dataclasses.replace(runs, version=key.version)
    if key.target == OPEN_TARGET:
        runs = dataclasses.replace(runs, target=OPEN_TARGET)
    misfits = key.differences(runs)
    if batch not in key.batch:
        misfits += (f"batch {key.batch.smallest} to {key.batch.largest}, not {batch}",)
    return misfits


def _build_command(bundle_path: Path, wanted: EngineKey, batch: int | None) -> str:
    words = ["edgeinspect build-engine", str(bundle_path), f"--runtime {wanted.flavour}"]
    if wanted.precision is not Precision.FP16:
        words.append(f"--precision {wanted.precision.value}")
    if batch is not None and batch not in wanted.batch:
        words.append(f"--batch 1,{batch}")
    return " ".join(words)


@contextlib.contextmanager
def build_lock(bundle_path: Path, *, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the right to build engines of a bundle; a second builder waits for the first.

    The lock is the operating system's: a build that is killed leaves none behind. Calibration
    and sessions need none. `on_wait` is called once if another builder has it.
    Raises: OutputError if the bundle cannot be written, BundleError if there is none.
    """
    from filelock import FileLock, Timeout

    read_manifest(bundle_path)
    folder = bundle_path / FOLDER
    with output_errors(folder):
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire(poll_interval=POLL_S)
    try:
        for leftover in folder.glob(".*.plan.*.tmp"):  # of a build that was killed as it wrote
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def install_engine(bundle: Bundle, plan: bytes, receipt: Receipt) -> Engine:
    """Write a plan and its receipt into the bundle; an engine of that fingerprint is replaced.

    Raises: OutputError, BundleError if the bundle was exported anew since it was read.
    """
    engine = _engine_at(bundle.path, receipt)
    with bundle_lock(bundle.path):
        precision = receipt.key.precision
        if graph_sha256(read_bundle(bundle.path), precision) != graph_sha256(bundle, precision):
            raise BundleError(
                f"{bundle.path} was exported anew while the engine was built",
                hint=f"run: edgeinspect build-engine {bundle.path}",
            )
        with output_errors(engine.plan_path):
            engine.plan_path.parent.mkdir(exist_ok=True)
        write_atomically(engine.plan_path, plan)
        try:
            write_atomically(engine.receipt_path, receipt.to_bytes())
        except BaseException:  # the receipt that may be there is not this plan's
            engine.receipt_path.unlink(missing_ok=True)
            engine.plan_path.unlink(missing_ok=True)
            raise
    return engine


def _engine_at(bundle_path: Path, receipt: Receipt) -> Engine:
    path = bundle_path / FOLDER / f"{receipt.fingerprint}.plan"
    return Engine(plan_path=path, receipt=receipt)


def record_proof(bundle_path: Path, engine: Engine, proof: Proof) -> Engine:
    """Mark an engine as verified; for the first session of one that was built ahead of time.

    Raises: OutputError if the bundle cannot be written, BundleError if another process is changing
        it, EngineError if the engine was replaced.
    """
    with bundle_lock(bundle_path):
        now = Receipt.from_bytes(engine.receipt_path.read_bytes(), where=engine.receipt_path)
        if now.plan_sha256 != engine.receipt.plan_sha256:
            raise EngineError(f"{engine.plan_path} was built anew meanwhile", hint="run it again")
        receipt = dataclasses.replace(now, is_verified=True, proof=proof)
        write_atomically(engine.receipt_path, receipt.to_bytes())
    return dataclasses.replace(engine, receipt=receipt)
