"""`edgeinspect build-engine`: a bundle's engine for a GPU, proven where the GPU is at hand."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeinspect.cli.options import AsJson
from edgeinspect.cli.output import show_json
from edgeinspect.progress import OnProgress, no_progress

if TYPE_CHECKING:
    from edgeinspect.building import Build
    from edgeinspect.engines import EngineKey, Receipt

__all__ = ["build_engine"]


def build_engine(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    runtime: Annotated[
        str, typer.Option("--runtime", help="tensorrt, tensorrt-rtx, or auto.")
    ] = "auto",
    precision: Annotated[str, typer.Option("--precision", help="fp16 or fp32.")] = "fp16",
    batch: Annotated[
        str,
        typer.Option(
            "--batch",
            metavar="MIN,TUNED,MAX",
            help="Tiles in one call: smallest, tuned for, largest; one number means just that.",
        ),
    ] = "1,1,8",
    workspace_mib: Annotated[
        int | None,
        typer.Option(
            "--workspace-mib", min=1, help="Scratch memory of the GPU.  [default: by its memory]"
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="SM",
            help="For which GPU, such as sm86, or open.  [default: the one here]",
        ),
    ] = None,
    timing_cache: Annotated[
        Path | None,
        typer.Option("--timing-cache", metavar="FILE", help="Makes the next build here faster."),
    ] = None,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="Later TensorRT versions run it, too.")
    ] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Build none: let the version-compatible engines that the bundle holds run their"
            " code here. Only for bundles whose maker you know.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Build even where an engine fits.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build a bundle's engine for a GPU, and prove it.

    The engine must give PyTorch's answers to the bundle's golden pictures, else it is not
    installed. One built for another GPU is proven by its first session there.

    Example: edgeinspect build-engine part.bundle --runtime tensorrt-rtx --target sm86
    """
    if trust:
        _trust(bundle)
        return
    from edgeinspect.building import BuildRequest
    from edgeinspect.building import build_engine as build
    from edgeinspect.config import Precision
    from edgeinspect.engines import BatchRange

    request = BuildRequest(
        runtime=runtime,
        precision=Precision.parse(precision),
        batch=BatchRange.parse(batch),
        workspace_mib=workspace_mib,
        target=target,
        timing_cache=timing_cache,
        is_version_compatible=version_compatible,
        force=force,
    )
    with _spinner() as on_progress:
        built = build(bundle, request, on_progress=on_progress)
    _show(built, bundle, as_json=as_json)


def _trust(bundle: Path) -> None:
    from edgeinspect.engines import trust_engines

    for engine in trust_engines(bundle):
        typer.echo(f"{engine.plan_path}: its code may run for this user")


@contextlib.contextmanager
def _spinner() -> Iterator[OnProgress]:
    """The phase and a clock on a terminal; TensorRT cannot tell how much is left."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting")

        def on_progress(phase: str, done: int, total: int) -> None:
            steps = f" {done}/{total}" if total > 1 else ""
            bar.update(task, description=f"{phase}{steps}")

        yield on_progress


def _show(built: Build, bundle: Path, *, as_json: bool) -> None:
    from edgeinspect.config import to_dict

    engine, receipt = built.engine, built.engine.receipt
    if as_json:
        show_json(
            {
                "engine": str(engine.plan_path),
                "fingerprint": receipt.fingerprint,
                "was_there": built.was_there,
                **to_dict(receipt),
            }
        )
        return
    key = receipt.key
    done = "is there already" if built.was_there else f"built in {receipt.build_seconds:.1f} s"
    typer.echo(f"{engine.plan_path} ({receipt.plan_bytes / 1e6:.1f} MB): {done}")
    typer.echo(
        f"{key.flavour} {key.version} for {key.target}, {key.precision.value}, batch"
        f" {key.batch.smallest} to {key.batch.largest}, tuned for {key.batch.tuned}"
    )
    typer.echo(_layers(receipt))
    typer.echo(_proof(receipt))
    typer.echo(f"next: edgeinspect run {bundle} PICTURES --out results --runtime {key.flavour}")


def _layers(receipt: Receipt) -> str:
    layers = receipt.layers
    text = f"{layers.n_fp16} layers in FP16, {layers.n_fp32} in FP32"
    if not layers.is_of_engine:
        return f"{text}, before the builder fuses them"
    return f"{text}; {layers.n_fused_attention} of fused attention"


def _gpus(key: EngineKey) -> str:
    """The GPUs that an engine is for."""
    return "a GPU" if key.target == "open" else f"a GPU of {key.target}"


def _proof(receipt: Receipt) -> str:
    proof = receipt.proof
    if proof is None:
        gpus = _gpus(receipt.key)
        return f"not verified: its first session on {gpus} does that before the first part"
    return (
        f"verified on {proof.gpu}, {proof.n_images} images: scores within"
        f" {proof.score_error:.2g}, maps correlate by {proof.map_correlation:.5f}"
    )
