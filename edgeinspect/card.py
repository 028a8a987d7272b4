"""The model card: what people should know about a bundle, in words and numbers.

Beside the bundle, whose `card.md` it is: written by export, again by each calibration, and by
`evaluate` into its own folder, with what the evaluation found in front. Everything comes from the
manifest and the calibration; what they do not say is left out. No path of any machine is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeinspect.config import (
    PRESETS,
    Form,
    GeneratorConfig,
    Prior,
    ResizeRule,
    RunConfig,
    Target,
    preset,
    to_dict,
)
from edgeinspect.digests import list_sha256
from edgeinspect.numbers import percent, percent_range

if TYPE_CHECKING:
    from edgeinspect.bundle import Manifest
    from edgeinspect.constants import Calibration

__all__ = ["markdown_table", "write_card"]

_FORMS = {
    Form.ALL: "all tokens go through all blocks, as in the paper",
    Form.VISIBLE: "the encoder sees the visible half of the tokens, the decoder all of them",
    Form.CROSS: "the encoder sees the visible half of the tokens, the decoder computes the rest",
}
_JUDGED_BY = {
    Target.PIXELS: "It reconstructs what block masks remove, and judges a part by how far the"
    " reconstruction is from it.",
    Target.FEATURES: "It reconstructs the features, by a pretrained backbone, of what block masks"
    " remove, and judges a part by how far its own are from the reconstructed ones{memory}.",
    Target.BOTH: "It reconstructs the pixels that block masks remove and their features, by a"
    " pretrained backbone, and judges a part by how far its own are from the reconstructed ones"
    "{memory}.",
}
_MEMORY = ", and its features from the nearest that are remembered of good parts"
_METHODS = {"empirical": "a quantile of their scores", "tail": "a tail fitted to their scores"}
_USES = {
    "train": "trained the generator",
    "select": "selected the step that was exported",
    "calibrate": "calibrated constants and threshold",
}
_DECIDED_BY_PICTURES = ("preprocess.resize", "preprocess.white_level_16bit")


def write_card(
    manifest: Manifest,
    config: RunConfig,
    calibration: Calibration | None,
    *,
    findings: Sequence[str] = (),
) -> str:
    """Markdown.

    Args:
        config: the manifest's settings, read.
        calibration: None for a bundle that was never calibrated.
        findings: sections of an evaluation, each with its heading; they come first.
    """
    provenance = manifest.provenance
    sections = [
        f"# {manifest.name}\n",
        f"A model of good parts, made by edgeinspect. {_judged_by(config.generator)}\n",
        *findings,
        _use(is_evaluated=bool(findings)),
        _data(provenance, calibration),
        _fields("Training", _training(config, provenance)),
        _calibration(calibration),
        _fields("Model", _model(config, provenance.get("n_parameters"))),
        _fields("Pictures", _pictures(config)),
        _fields("Check against PyTorch", _check(provenance.get("check") or {})),
        _fields("Versions", _versions(manifest)),
    ]
    return "\n".join(section for section in sections if section)


def _judged_by(generator: GeneratorConfig) -> str:
    memory = _MEMORY if generator.feature_memory else ""
    return _JUDGED_BY[generator.target].format(memory=memory)


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table; a bar inside a cell is escaped."""
    rows = [header, ["---"] * len(header), *lines]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _fields(title: str, rows: Mapping[str, Any]) -> str:
    """A section of names and values; those that are None, and then empty sections, are left out."""
    lines = [(key, str(value)) for key, value in rows.items() if value is not None]
    return f"## {title}\n\n{markdown_table(('', ''), lines)}" if lines else ""


def _use(*, is_evaluated: bool) -> str:
    unproved = (
        "- What it finds and what it misses is not in this card: measure it on your own defects"
        " with `edgeinspect evaluate` before it rejects parts.\n"
    )
    return (
        "## Use and limits\n\n"
        "- For: pictures of this one part, taken as its good pictures were, sorted into OK and NG"
        " with a person or a second check behind it.\n"
        "- Not for: any other part, camera, light or finish. Calibrate again when one of them"
        " changes, train again when the good parts do.\n"
        "- The threshold comes from good parts: it promises a rate of false rejects, and nothing"
        " about the share of defects that pass.\n"
        "- A score measures how unusual a part looks; it is no size, depth or severity.\n"
    ) + ("" if is_evaluated else unproved)


def _data(provenance: Mapping[str, Any], calibration: Calibration | None) -> str:
    """Which good pictures did what, by number and hash, and what is doubtful about them."""
    lines = []
    uses = (
        ("train", "n_training", "training_pictures"),
        ("select", "n_holdout", "holdout_pictures"),
    )
    for use, count, pictures in uses:
        digests = provenance.get(pictures) or {}
        n = provenance.get(count, len(digests) or None)
        if n:
            lines.append((_USES[use], str(n), _short(list_sha256(digests))))
    if calibration is not None:
        lines.append(
            (_USES["calibrate"], str(len(calibration.good_names)), _short(calibration.good_sha256))
        )
    if not lines:
        return ""
    doubts = [*(provenance.get("warnings") or ()), *(calibration.warnings if calibration else ())]
    return (
        "## Data\n\n"
        + markdown_table(("good pictures", "n", "sha256 of the list"), lines)
        + "\nThe list's sha256, of which 16 digits are shown, is that of the sorted sha256 of its"
        " files, a line each.\n" + "".join(f"\nWarning: {doubt}.\n" for doubt in doubts)
    )


def _short(digest: str) -> str:
    return f"`{digest[:16]}`" if digest else "-"


def _training(config: RunConfig, provenance: Mapping[str, Any]) -> dict[str, Any]:
    state = provenance.get("training") or {}
    is_pixels = config.generator.target is Target.PIXELS
    factor, digits = (255, 2) if is_pixels else (1, 4)
    unit = "L1, grey levels of 255" if is_pixels else "squared distance of whitened features"
    without = "the smooth fill alone" if is_pixels else "the mean feature of good parts"
    held_out = "images that trained" if provenance.get("n_holdout") == 0 else "held-out images"
    backbone = provenance.get("backbone_weights") or {}
    encoder = provenance.get("encoder_weights") or {}
    hardware = provenance.get("hardware") or {}
    changed = ", ".join(_changed_settings(config))
    return {
        "preset": config.preset,
        "form": f"`{config.generator.form.value}`: {_FORMS[config.generator.form]}",
        "target": config.generator.target.value,
        "backbone": _weights(config.generator.backbone, backbone) if backbone else None,
        "encoder started from": _weights(encoder["file"], encoder) if encoder else None,
        "settings beside the preset's": f"`{changed}`" if changed else "none",
        "steps": _steps(provenance),
        "minutes": _number(provenance.get("seconds"), 1 / 60, 1),
        "exported step": _exported_step(state),
        "minutes up to it": _number(state.get("seconds"), 1 / 60, 1),
        "hardware": ", ".join(hardware.values()) or None,
        f"error on {held_out} ({unit})": _number(state.get("best_error"), factor, digits),
        f"error of {without}": _number(state.get("fill_error"), factor, digits),
        "mean grey level": _number(provenance.get("mean"), 255, 1),
        "spread of grey levels": _number(provenance.get("spread"), 255, 1),
    }


def _steps(provenance: Mapping[str, Any]) -> Any:
    planned = provenance.get("n_steps")
    done = provenance.get("n_steps_done", planned)
    return planned if done == planned else f"{done} of {planned}: stopped before its end"


def _exported_step(state: Mapping[str, Any]) -> Any:
    step = state.get("best_step")
    return "0, the start: no later one had a smaller error" if step == 0 else step


def _weights(name: str, origin: Mapping[str, Any]) -> str:
    """Weights that others trained, by their file and its hash."""
    return f"{name}, weights {origin['file']} (sha256 {_short(origin['sha256'])})"


def _changed_settings(config: RunConfig) -> Iterator[str]:
    """`key=value` of each setting that is not the preset's, as --set takes it."""
    if config.preset not in PRESETS:
        return
    ours = to_dict(config)
    presets = to_dict(preset(config.preset, config.generator.target))
    for part, values in ours.items():
        if not isinstance(values, dict):
            continue
        for key, value in values.items():
            name = f"{part}.{key}"
            if value != presets[part][key] and name not in _DECIDED_BY_PICTURES:
                words = value if isinstance(value, list) else [value]
                yield f"{name}={','.join(map(str, words))}"


def _number(value: float | None, factor: float, digits: int) -> str | None:
    return None if value is None else f"{value * factor:.{digits}f}"


def _calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return (
            "## Calibration\n\nNone: the bundle judges nothing until it is calibrated on good parts"
            " that did not train it, with `edgeinspect calibrate BUNDLE GOOD_DIR`.\n"
        )
    threshold = calibration.threshold
    low, high = threshold.interval
    rates = percent_range(threshold.rate_interval)
    return _fields(
        "Calibration",
        {
            "rule of the verdict": f"{calibration.rule.value} of {', '.join(calibration.measures)}",
            "normalisation": calibration.normalisation.value,
            "good parts": threshold.n_good,
            "threshold": f"{threshold.value:.4g} (95 %: {low:.4g} to {high:.4g}),"
            f" {_METHODS[threshold.method]}",
            "false rejects asked": percent(threshold.false_reject_rate),
            "false rejects to expect": f"{rates} (95 %)",
            "chosen on synthetic defects": None if calibration.selection is None else "yes",
        },
    )


def _model(config: RunConfig, n_parameters: int | None) -> dict[str, Any]:
    g = config.generator
    blocks = _listed([scale * g.patch for scale in g.mask_scales])
    seen = f"images of {_listed(g.feature_sizes)} px, every {_listed(g.feature_strides)} px"
    return {
        "encoder": f"{_n_blocks(g.depth)}, width {g.width}",
        "decoder": f"{_n_blocks(g.decoder_depth)}, width {g.width_of_decoder}",
        "parameters": None if n_parameters is None else f"{n_parameters / 1e6:.2f} million",
        "masks": f"blocks of {blocks} px, patch {g.patch} px",
        "pixels are added to": _prior(g) if g.target.has_pixels else None,
        "features are those of": seen if g.target.has_features else None,
        "features are added to": "the mean of good parts" if g.target.has_features else None,
        "merged tokens a block": str(g.merge)
        if isinstance(g.merge, int)
        else ", ".join(map(str, g.merge)),
        "error measures": ", ".join(m.value for m in config.scoring.measures),
        "statistics": ", ".join(s.value for s in config.scoring.statistics),
        "blur": "none" if config.scoring.blur_px == 1 else f"{config.scoring.blur_px} px",
    }


def _listed(numbers: Sequence[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last


def _n_blocks(n: int) -> str:
    return "1 block" if n == 1 else f"{n} blocks"


def _prior(generator: GeneratorConfig) -> str:
    is_filled = generator.prior is Prior.FILL
    return "a smooth fill from the visible pixels" if is_filled else "nothing"


def _pictures(config: RunConfig) -> dict[str, Any]:
    p = config.preprocess
    is_tiled = p.resize is ResizeRule.TILE
    tiles = f"tiles that overlap by {p.overlap_px} px or more" if is_tiled else "the whole picture"
    scale = "short side to the image's" if p.scale is None else f"{p.scale:g} of the picture's"
    return {
        "image": f"{p.size} x {p.size} px RGB, {tiles}",
        "scale": scale if is_tiled else "squashed to the image's size",
        "equalisation": p.equalise.value,
        "white of 16-bit files": p.white_level_16bit,
    }


def _check(check: Mapping[str, Any]) -> dict[str, Any]:
    if not check:
        return {}
    return {
        "images": ", ".join(check["images"]),
        "largest difference of a score": f"{check['score_error']:.1e}",
        "largest difference of a map, of its 99.9th percentile": f"{check['map_error']:.1e}",
    }


def _versions(manifest: Manifest) -> dict[str, Any]:
    versions = manifest.provenance.get("versions") or {}
    return {"edgeinspect": manifest.tool_version, **versions}
