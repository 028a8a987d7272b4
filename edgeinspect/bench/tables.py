"""A report as rows of words: the same on the console, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeinspect.bench.latency import Latency, Ratio
from edgeinspect.bench.results import BenchReport, VariantResult
from edgeinspect.bench.stages import STAGES
from edgeinspect.numbers import percent, percent_range, three_digits

__all__ = ["Table", "milliseconds", "report_facts", "report_tables"]

STAGE_WORDS = {
    "copy_in": "host to device",
    "copy_out": "device to host",
    "post_process": "post-process",
    "end_to_end": "end to end",
}
UNTOLD = "not told by this machine"
N_DIGITS = 16  # of a hash, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A title, a header, and lines as long as the header; `note` stands below."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    note: str = ""


def report_tables(report: BenchReport) -> list[Table]:
    """Speed first, then what else was measured; tables without lines are left out."""
    tables = [_speed(report), _stages(report), _limits(report), _parity(report)]
    return [table for table in tables if table.lines]


def report_facts(report: BenchReport) -> list[tuple[str, str]]:
    """What was measured, on what, as (name, value)."""
    bundle, hardware, pictures = report.bundle, report.hardware, report.pictures
    facts = [
        ("bundle", f"{bundle['name']}, manifest sha256 {bundle['manifest_sha256'][:N_DIGITS]}"),
        *_graphs(report),
        ("model", _model(bundle)),
        ("training pictures", _counted(bundle["n_training_pictures"], bundle)),
        *_calibration(bundle["calibration"]),
        *((f"engine of {v.name}", _engine(v.engine)) for v in report.variants if v.engine),
        (
            "judged pictures",
            f"{pictures['n_pictures']} of {pictures['source']} ({pictures['n_images']} images),"
            f" sha256 {pictures['sha256'][:N_DIGITS]}",
        ),
        ("processor", f"{hardware['cpu']}, {hardware['n_cores']} cores"),
        ("GPU", hardware["gpu"] or "none"),
        *([("Jetson", hardware["jetson"])] if hardware["jetson"] else []),
        ("power mode", _power(report)),
        ("clocks", _clocks(report.states)),
        ("system", hardware["system"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())),
        ("rounds", f"{report.settings['rounds']}, interleaved after a warm-up"),
        ("CPU threads", str(report.settings["threads"] or "all")),
        ("measured at", report.measured_at),
    ]
    return facts


def milliseconds(value: float | None) -> str:
    """As `three_digits`; "-" for what there is not."""
    return "-" if value is None else three_digits(value)


def _speed(report: BenchReport) -> Table:
    lines = []
    for base in report.baselines:
        if base.latency is not None:
            rate = three_digits(base.latency.images_per_s(1))
            lines.append((base.name, *_percentiles(base.latency), rate, "1"))
    lines += [
        (v.name, *_percentiles(v.latency), three_digits(v.images_per_s), _ratio(v.ratio))
        for v in report.variants
    ]
    return Table(
        title="Speed",
        header=(
            "",
            "min ms",
            "p50",
            "p90",
            "p95",
            "p99",
            "max",
            "calls",
            "images/s",
            "times as fast",
        ),
        lines=tuple(lines),
        note="Milliseconds of a call; of fewer than 100 calls p99 is close to the slowest. "
        + _tile_words(report.pictures)
        + _baseline_words(report),
    )


def _tile_words(pictures: Mapping[str, Any]) -> str:
    """That an image is not a part, where pictures are cut."""
    n_images, n_pictures = pictures["n_images"], pictures["n_pictures"]
    if n_images == n_pictures:
        return ""
    return f"An image is a tile: a part is cut into {n_images / n_pictures:.3g} of them. "


def _baseline_words(report: BenchReport) -> str:
    first = report.baselines[0]
    if first.why_not is not None:
        return f"No ratio: {first.why_not}."
    return (
        f"Times as fast as the unoptimised model ({first.description}), an image each, with 95 %"
        " intervals over rounds."
    )


def _percentiles(latency: Latency) -> tuple[str, ...]:
    names = ("min_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")
    return (*(milliseconds(getattr(latency, name)) for name in names), str(latency.n))


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _stages(report: BenchReport) -> Table:
    rows = [v for v in report.variants if v.stages_ms is not None]
    names = [n for n in STAGES if any(n in (v.stages_ms or {}) for v in rows)] + ["end_to_end"]
    lines = [
        (v.name, *(milliseconds((v.stages_ms or {}).get(n)) for n in names), _end(v)) for v in rows
    ]
    return Table(
        title="Stages of run",
        header=("", *(STAGE_WORDS.get(n, n) for n in names), "p99 of a batch (of n)"),
        lines=tuple(lines),
        note="Milliseconds a part, medians, one part after the other from file to record.",
    )


def _end(variant: VariantResult) -> str:
    times = variant.end_to_end_ms
    return "-" if times is None else f"{milliseconds(times.p99_ms)} ({times.n})"


def _limits(report: BenchReport) -> Table:
    rows = [v for v in report.variants if v.roofline is not None or v.energy is not None]
    return Table(
        title="Limits and energy",
        header=("", "GFLOP/s", "limit", "reached", "device ms", "images/J"),
        lines=tuple((v.name, *_limit(v.roofline), *_device(v)) for v in rows),
        note="The limit is the longer of the times that products and memory take at this box's"
        " best, which a large matrix product and a large copy showed in the same run.",
    )


def _limit(roofline: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if roofline is None:
        return ("-", "-", "-")
    peak = roofline["peak_flop_per_s"]
    limit = (
        f"{three_digits(peak / 1e9)} GFLOP/s"
        if roofline["limit"] == "compute"
        else f"{roofline['peak_bytes_per_s'] / 1e9:.3g} GB/s"
    )
    share = f"{100 * roofline['share']:.0f} %"
    return three_digits(roofline["flop_per_s"] / 1e9), f"{roofline['limit']}, {limit}", share


def _device(variant: VariantResult) -> tuple[str, str]:
    energy = "-" if variant.energy is None else three_digits(variant.energy["images_per_joule"])
    return milliseconds(variant.device_ms), energy


def _parity(report: BenchReport) -> Table:
    lines = {
        f"{v.runtime} {v.precision}": (
            f"{v.parity['score_error']:.2g}",
            f"{v.parity['map_error']:.2g}",
            f"{v.parity['map_correlation']:.5f}",
            "yes" if v.parity["is_within"] else "; ".join(v.parity["problems"]),
        )
        for v in report.variants
        if v.parity is not None
    }
    return Table(
        title="Parity with PyTorch FP32",
        header=("", "score error", "map error", "map correlation", "within the budget"),
        lines=tuple((name, *cells) for name, cells in lines.items()),
        note="On the golden images of the bundle, of which it carries PyTorch's answers.",
    )


def _graphs(report: BenchReport) -> list[tuple[str, str]]:
    """The graphs that ONNX Runtime ran, or an engine was built from, by their hash."""
    names = dict.fromkeys(f"graph_{v.precision}.onnx" for v in report.variants)
    files = report.bundle["files"]
    return [(name, f"sha256 {files[name][:N_DIGITS]}") for name in names if name in files]


def _model(bundle: Mapping[str, Any]) -> str:
    merged = max(bundle["merge"])
    words = [f"{bundle['preset']}, form {bundle['form']}, target {bundle['target']}"]
    words.append(
        f"{bundle['size_px']} px, {bundle['n_scales']} scale{'s' * (bundle['n_scales'] > 1)}"
    )
    return ", ".join([*words, f"merging {merged}"] if merged else words)


def _counted(n: int | None, bundle: Mapping[str, Any]) -> str:
    if n is None:
        return "not recorded"
    digest = bundle["training_pictures_sha256"]
    return f"{n}, sha256 of the list {digest[:N_DIGITS]}" if digest else str(n)


def _calibration(facts: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if facts is None:
        return [("calibration", "none: there is no threshold")]
    low, high = facts["threshold_ci95"]
    rate = percent(facts["false_reject_rate"])
    return [
        ("calibration", f"{facts['file']}, rule {facts['rule']}, {facts['n_good']} good parts"),
        ("threshold", f"{facts['threshold']:.4g} (95 %: {low:.4g} to {high:.4g})"),
        (
            "expected false-reject rate",
            f"{rate} asked for; 95 %: {percent_range(facts['false_reject_rate_ci95'])}",
        ),
    ]


def _engine(facts: Mapping[str, Any] | None) -> str:
    assert facts is not None
    proven = "proven on this GPU" if facts["is_proven"] else "not proven"
    return f"{facts['fingerprint']}, {facts['version']}, {facts['target']}, {proven}"


def _power(report: BenchReport) -> str:
    """A Jetson's mode, the CPU's governor and the GPU's limit, as the last round met them."""
    state = report.states[-1]
    words = [report.hardware["power"] or ""]
    words += [f"CPU governor {state['cpu_governor']}" if state["cpu_governor"] else ""]
    words += [f"GPU up to {state['gpu_power_limit_w']:.0f} W" if state["gpu_power_limit_w"] else ""]
    return ", ".join(filter(None, words)) or UNTOLD


def _clocks(states: tuple[Mapping[str, Any], ...]) -> str:
    """From the lowest to the highest of all rounds."""
    words = []
    for name, key, unit in (
        ("CPU", "cpu_mhz", "MHz"),
        ("CPU", "cpu_temperature_c", "°C"),
        ("GPU", "gpu_mhz", "MHz"),
        ("GPU", "gpu_temperature_c", "°C"),
    ):
        values = [state[key] for state in states if state[key] is not None]
        if values:
            words.append(f"{name} {min(values):.0f} to {max(values):.0f} {unit}")
    return ", ".join(words) or UNTOLD
