"""`edgeinspect demo`: synthetic parts, judged, and a page about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeinspect.cli.options import AsJson, Seed, Threads
from edgeinspect.cli.output import show_json

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder that takes index.html.")] = Path(
        "demo"
    ),
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Bundle to judge with.  [default: the one in the package]"),
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a page in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Inspect synthetic parts and write a page about it.

    Example: edgeinspect demo --out demo
    """
    from edgeinspect.report.demo import PACKAGED_BUNDLE, PAGE, make_demo

    used = PACKAGED_BUNDLE if bundle is None else bundle
    page = make_demo(out, bundle=used, seed=seed, threads=threads, force=force)
    n_wrong = page.count_judged("escape") + page.count_judged("false reject")
    result = {
        "page": str(out / PAGE),
        "n_parts": len(page.parts),
        "n_ok": page.count("OK"),
        "n_ng": page.count("NG"),
        "n_not_inspected": page.count("NOT-INSPECTED"),
        "n_wrong": n_wrong,
        "auroc": page.auroc,
        "latency_p50_ms": page.latency.p50_ms,
        "first_verdict_ms": page.latency.first_verdict_ms,
    }
    if as_json:
        show_json(result)
        return
    auroc = "" if page.auroc is None else f", AUROC {page.auroc:.3f}"
    typer.echo(
        f"{len(page.parts)} parts: {page.count('OK')} OK, {page.count('NG')} NG; {n_wrong} verdicts"
        f" wrong{auroc}, {page.latency.p50_ms:.1f} ms a part"
    )
    typer.echo(f"look at: {out / PAGE}")
