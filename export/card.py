"""The model card: what people should know about a bundle, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeinspect.config import Form, Prior, ResizeRule, RunConfig
from edgeinspect.parity import ParityReport

__all__ = ["write_card"]

_FORMS = {
    Form.ALL: "all tokens go through all blocks, as in the paper",
    Form.VISIBLE: "the encoder sees the visible half of the tokens, the decoder all of them",
    Form.CROSS: "the encoder sees the visible half of the tokens, the decoder computes the rest",
}


def write_card(
    name: str,
    config: RunConfig,
    provenance: Mapping[str, Any],
    *,
    n_parameters: int,
    parity: ParityReport,
    golden_names: Sequence[str],
) -> str:
    """Markdown. `provenance` is the run's; what it does not say is left out."""
    sections = [
        f"# {name}\n",
        "A model of good parts, made by edgeinspect. It reconstructs what block masks remove and"
        " judges a part by how far the reconstruction is from it. It knows one kind of part under"
        " one kind of light, and nothing about any other.\n",
        _table("Model", _model(config, n_parameters)),
        _table("Pictures", _pictures(config)),
        _table("Training", _training(provenance)),
        _table("Check against PyTorch", _parity(parity, golden_names)),
        "## Before use\n\nThe bundle judges nothing until it is calibrated on good parts that did"
        " not train it: `edgeinspect calibrate BUNDLE GOOD_DIR`. Calibrate again when camera,"
        " light or supplier change. It was checked on good parts only: measure what it finds and"
        " what it misses on your own defects with `edgeinspect evaluate` before it rejects"
        " parts.\n",
    ]
    return "\n".join(sections)


def _table(title: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join([f"## {title}\n", "| | |", "|---|---|", *lines, ""])


def _model(config: RunConfig, n_parameters: int) -> dict[str, str]:
    g = config.generator
    blocks = " and ".join(f"{scale * g.patch}" for scale in g.mask_scales)
    prior = "a smooth fill from the visible pixels" if g.prior is Prior.FILL else "nothing"
    return {
        "preset": config.preset,
        "form": f"`{g.form.value}`: {_FORMS[g.form]}",
        "encoder": f"{g.depth} blocks, width {g.width}",
        "decoder": f"{g.decoder_depth} blocks, width {g.width_of_decoder}",
        "parameters": f"{n_parameters / 1e6:.2f} million",
        "masks": f"blocks of {blocks} px, patch {g.patch} px",
        "added to": prior,
        "merged tokens a block": str(g.merge),
        "error measures": ", ".join(m.value for m in config.scoring.measures),
        "statistics": ", ".join(s.value for s in config.scoring.statistics),
        "blur": "none" if config.scoring.blur_px == 1 else f"{config.scoring.blur_px} px",
    }


def _pictures(config: RunConfig) -> dict[str, str]:
    p = config.preprocess
    is_tiled = p.resize is ResizeRule.TILE
    tiles = f"tiles that overlap by {p.overlap_px} px or more" if is_tiled else "the whole picture"
    scale = "short side to the image's" if p.scale is None else f"{p.scale:g} of the picture's"
    return {
        "image": f"{p.size} x {p.size} px RGB, {tiles}",
        "scale": scale if is_tiled else "squashed to the image's size",
        "equalisation": p.equalise.value,
        "white of 16-bit files": str(p.white_level_16bit),
    }


def _training(provenance: Mapping[str, Any]) -> dict[str, str]:
    state = provenance.get("training") or {}
    known = {
        "good pictures that trained": provenance.get("n_training"),
        "good pictures held out": provenance.get("n_holdout"),
        "steps": _of(state.get("step"), provenance.get("n_steps")),
        "exported step": state.get("best_step"),
        "minutes": _number(state.get("seconds"), 1 / 60, 1),
        "error on held-out images (L1, grey levels of 255)": _number(
            state.get("best_error"), 255, 2
        ),
        "error of the smooth fill alone": _number(state.get("fill_error"), 255, 2),
        "mean grey level": _number(provenance.get("mean"), 255, 1),
        "spread of grey levels": _number(provenance.get("spread"), 255, 1),
    }
    return {key: str(value) for key, value in known.items() if value is not None}


def _of(done: int | None, planned: int | None) -> str | None:
    if done is None or planned is None:
        return None
    return f"{done} of {planned}"


def _number(value: float | None, factor: float, digits: int) -> str | None:
    return None if value is None else f"{value * factor:.{digits}f}"


def _parity(parity: ParityReport, golden_names: Sequence[str]) -> dict[str, str]:
    return {
        "images": ", ".join(golden_names),
        "largest difference of a score": f"{parity.score_error:.1e}",
        "largest difference of a map, of its 99.9th percentile": f"{parity.map_error:.1e}",
    }
