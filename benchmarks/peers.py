"""How fast anomalib's models are beside ours: same core, same size of picture, same rounds.

    uv venv --python 3.11 VENV
    uv pip install --python VENV/bin/python "anomalib[openvino]==2.7.0" -e ".[train]"
    VENV/bin/python -m benchmarks.peers               # half an hour on an idle core, 6 GB on disk
    python -m benchmarks.peers --rehearse             # `tiny` alone, without anomalib

Speed only: weights and backbones are random or untrained, and nothing is said of what they find.
Each peer goes through its own export, run by ONNX Runtime and by OpenVINO, on one thread, in
interleaved rounds with ours; one peer after the other, since together they take 15 GB. OpenVINO
stands there twice: at the precision that it chooses (BF16 where the processor has it), and held to
FP32. Ours run on ONNX Runtime in FP32. `ratio_to_edge` and `ratio_to_tiny` refer to the presets as
they are (target features), `..._pixels` to those with target pixels. A ratio is the peer's time
over ours: above 1 ours is faster. `goals` takes each peer at its best runtime. What cannot be built
or exported is a row with the reason.

`install_mb`: distributions that the library requires. `import_s`: CPU seconds to import what it
judges pictures with. `start_s`: from a new process to its first answer, with the runtime alone:
of a peer neither anomalib nor torch is imported for it. Results: `benchmarks/results/peers.json`,
and `peers.md` beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.util
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_models import PEERS, to_openvino
from benchmarks.peer_sessions import open_call
from edgeinspect.bench.baseline import make_generator
from edgeinspect.bench.latency import median_ratio
from edgeinspect.bench.machine import read_hardware, read_versions
from edgeinspect.bench.measuring import Case, measure_rounds
from edgeinspect.card import markdown_table
from edgeinspect.config import Target, preset
from edgeinspect.export.bundling import write_bundle
from edgeinspect.writing import write_atomically

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks/results/peers.json"
OURS = (
    ("tiny", Target.FEATURES),
    ("tiny", Target.PIXELS),
    ("edge", Target.FEATURES),
    ("edge", Target.PIXELS),
)
OUR_FILES = ("graph_fp32.onnx", "weights_fp32.bin")
SIZE_PX = 256
N_STARTS = 3
# What is imported to judge pictures.
IMPORTS = {"edgeinspect": "edgeinspect.runtime.inspector", "anomalib": "anomalib.deploy"}
GOALS = (  # ours, the peer, and how many times its time is at least to be
    ("tiny", "PaDiM ResNet-18", 1.0),
    ("edge", "EfficientAD-S", 3.0),
    ("edge", "PatchCore WideResNet-50", 3.0),
    ("edge", "Dinomaly base", 3.0),
)
Row = dict[str, Any]
Medians = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model on a runtime: its file, or bundle, and how a call of it is opened."""

    system: str
    model: str
    runtime: str
    opener: str
    path: Path
    n_bytes: int

    def case(self) -> Case:
        call = open_call(self.opener, str(self.path), SIZE_PX)
        return Case(name=f"{self.model} on {self.runtime}", batch=1, run=call)


def main() -> None:
    options = _parse()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        ours = [_our_entry(*one, work) for one in OURS[: 2 if options.rehearse else None]]
        rows: list[Row] = []
        seen = [_measure(ours, options.rounds)] if options.rehearse else []
        for name in () if options.rehearse else PEERS:
            try:
                entries = _peer_entries(name, work)
                medians = _measure([*ours, *entries], options.rounds)
            except Exception as error:  # what a peer raises is for its row
                why = f"{type(error).__name__}: {str(error).strip()}".splitlines()[-1][:300]
                rows.append({"system": "anomalib", "model": name, "why": why})
                continue
            seen.append(medians[: len(ours)])
            bases = dict(zip([entry.model for entry in ours], seen[-1], strict=True))
            theirs = zip(entries, medians[len(ours) :], strict=True)
            rows += [_row(entry, one, bases) for entry, one in theirs]
            print(rows[-1], flush=True)
            shutil.rmtree(entries[0].path.parent, ignore_errors=True)
        pooled = [np.concatenate(one) for one in zip(*seen, strict=True)]
        bases = dict(zip([entry.model for entry in ours], pooled, strict=True))
        rows = [_row(*pair, bases) for pair in zip(ours, pooled, strict=True)] + rows
    report = {
        "hardware": dataclasses.asdict(read_hardware()),
        "versions": read_versions() | _versions("anomalib", "openvino", "timm"),
        "rounds": options.rounds,
        "threads": 1,
        "size_px": SIZE_PX,
        "is_rehearsal": options.rehearse,
        "goals": _goals(rows),
        "rows": rows,
    }
    write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())
    page = render_markdown(report)
    write_atomically(options.out.with_suffix(".md"), page.encode())
    print(page)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rehearse", action="store_true", help="`tiny` alone, for seconds")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def _our_entry(name: str, target: Target, work: Path) -> Entry:
    """A preset in its default form."""
    config = preset(name, target)
    model = name if target is Target.FEATURES else f"{name} {target.value}"
    bundle = write_bundle(make_generator(config.generator), config, work / f"{model}.bundle")
    return Entry(
        system="edgeinspect",
        model=model,
        runtime="onnxruntime",
        opener="edgeinspect",
        path=bundle.path,
        n_bytes=sum((bundle.path / name).stat().st_size for name in OUR_FILES),
    )


def _peer_entries(name: str, work: Path) -> list[Entry]:
    """A peer on each runtime that is installed; exported by a process whose memory goes with it."""
    folder = work / name.replace(" ", "-")
    code = f"export_peer(PEERS[{name!r}], Path({str(folder)!r}), {SIZE_PX})"
    imports = "from pathlib import Path; from benchmarks.peer_models import PEERS, export_peer"
    _run(f"{imports}; {code}")
    files = {"onnxruntime": next(folder.rglob("*.onnx"))}
    if importlib.util.find_spec("openvino") is not None:
        files["openvino"] = files["openvino fp32"] = to_openvino(files["onnxruntime"], folder)
    return [
        Entry(
            system="anomalib",
            model=name,
            runtime=runtime,
            opener=runtime,
            path=path,
            n_bytes=sum(one.stat().st_size for one in path.parent.glob(f"{path.stem}.*")),
        )
        for runtime, path in files.items()
    ]


def _run(code: str) -> None:
    """Code in a process of its own. Raises: RuntimeError with its last words."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())


def _measure(entries: list[Entry], n_rounds: int) -> list[Medians]:
    """Medians of the rounds of each, (rounds,), milliseconds."""
    return [one.medians_ms for one in measure_rounds([e.case() for e in entries], n_rounds)]


def _start_s(entry: Entry) -> float:
    """Seconds from a new process to its first answer, the median of a few."""
    call = f"open_call({entry.opener!r}, {str(entry.path)!r}, {SIZE_PX})()"
    code = f"from benchmarks.peer_sessions import open_call; {call}"
    times = []
    for _ in range(N_STARTS):
        start = time.perf_counter()
        _run(code)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _row(entry: Entry, medians: Medians, bases: dict[str, Medians]) -> Row:
    """`bases`: of ours in the same rounds."""
    p50 = float(np.median(medians))
    row: Row = {
        "system": entry.system,
        "model": entry.model,
        "runtime": entry.runtime,
        "p50_ms": round(p50, 3),
        "images_per_s": round(1e3 / p50, 2),
    }
    for name, base in bases.items():
        ratio = median_ratio(medians, base)
        key = f"ratio_to_{name.replace(' ', '_')}"
        row[key] = round(ratio.value, 3)
        row[f"{key}_ci95"] = [round(ratio.low, 3), round(ratio.high, 3)]
    row |= {"model_mb": round(entry.n_bytes / 1e6, 1), **_cost_of(entry.system)}
    row |= {"start_s": round(_start_s(entry), 2)}
    return row | {"round_ms": [round(float(t), 3) for t in medians]}


def _goals(rows: list[Row]) -> list[Row]:
    """Whether each holds, against the peer's best runtime; nothing of peers not measured."""
    found = []
    for name, peer, least in GOALS:
        theirs = [row for row in rows if row["model"] == peer and "why" not in row]
        if not theirs:
            continue
        best = min(theirs, key=lambda row: float(row["p50_ms"]))
        key = f"ratio_to_{name}"
        found.append(
            {
                "ours": name,
                "peer": peer,
                "runtime": best["runtime"],
                "at_least": least,
                "ratio": best[key],
                "ratio_ci95": best[f"{key}_ci95"],
                "holds": best[key] >= least,
            }
        )
    return found


@functools.cache
def _cost_of(system: str) -> dict[str, float]:
    """Megabytes of the distributions that running takes, and CPU seconds to import them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = f"import {IMPORTS[system]}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"install_mb": round(_megabytes(system), 1), "import_s": round(seconds, 2)}


def _megabytes(root: str) -> float:
    """Of a distribution and of all that it requires, extras left out."""
    waiting, done, n_bytes = [root], set(), 0
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in done:
            continue
        done.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for file in found.files or []:
            path = Path(str(file.locate()))
            n_bytes += path.stat().st_size if path.is_file() else 0
        required = [text for text in found.requires or [] if "extra ==" not in text]
        waiting += [match[0] for text in required if (match := re.match(r"[\w.-]+", text))]
    return n_bytes / 1e6


def _versions(*names: str) -> dict[str, str]:
    return {n: metadata.version(n) for n in names if importlib.util.find_spec(n) is not None}


def render_markdown(report: Row) -> str:
    """The table for people, fastest first, then what was not measured."""
    measured = sorted((r for r in report["rows"] if "why" not in r), key=lambda r: r["p50_ms"])
    keys = [key for key in measured[0] if not key.endswith("_ci95") and key != "round_ms"]
    header = tuple(key.removeprefix("ratio_").replace("_", " ") for key in keys)
    lines = [tuple(_cell(row[key]) for key in keys) for row in measured]
    hardware, versions = report["hardware"], report["versions"]
    parts = [
        "# anomalib's models beside ours, on one core\n\n",
        f"{hardware['cpu']}, {report['rounds']} interleaved rounds, pictures of"
        f" {report['size_px']} px;",
        f" {', '.join(f'{name} {version}' for name, version in versions.items())}.",
        " Backbones are untrained and weights random: speed alone, nothing of what is found.",
        " `to ...` is the row's time over ours: above 1 ours is faster.\n\n",
        markdown_table(header, lines),
    ]
    for goal in report["goals"]:
        low, high = goal["ratio_ci95"]
        words = "holds" if goal["holds"] else "does not hold"
        parts.append(
            f"\n`{goal['ours']}` at least {goal['at_least']:g} times as fast as {goal['peer']}"
            f" ({goal['runtime']}): {goal['ratio']:.2f} ({low:.2f} to {high:.2f}), {words}.\n"
        )
    parts += [f"\nNot measured: {r['model']}: {r['why']}\n" for r in report["rows"] if "why" in r]
    return "".join(parts)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
