"""Options that more than one command has: one name, one wording, one way to name a default."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "AsJson",
    "BackboneWeights",
    "Batch",
    "Device",
    "EncoderWeights",
    "Precision",
    "Precisions",
    "Preset",
    "Runtime",
    "Runtimes",
    "Seed",
    "Select",
    "Settings",
    "Target",
    "Threads",
    "Tile",
]

AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON object.")]
BackboneWeights = Annotated[
    str | None,
    typer.Option(
        "--backbone-weights",
        metavar="FILE",
        help="Weights of the backbone whose features are the target: .safetensors, .pth, .pt, or"
        " timm:NAME to fetch them.  [default: an installed package's, else fetched]",
    ),
]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Tiles in one call.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
EncoderWeights = Annotated[
    str | None,
    typer.Option(
        "--encoder-weights",
        metavar="FILE",
        help="Weights of a timm vision transformer that the encoder starts from: .safetensors,"
        " .pth, .pt, or timm:NAME to fetch them.  [default: none, noise]",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Of the graph: fp32, fp16, or int8 if the bundle has it (calibrate --int8)."
        "  [default: fp16 on GPUs, fp32 on CPUs]",
    ),
]
Precisions = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="A,B",
        help="Of the graph: fp16, fp32, int8.  [default: fp16 on GPUs; fp32, and int8 if the"
        " bundle has it, on CPUs]",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Size of the model: nano, tiny, fine, edge or paper.  [default: fine with features,"
        " else tiny]",
    ),
]
Runtime = Annotated[
    str, typer.Option("--runtime", help="auto, or one of those that `edgeinspect doctor` lists.")
]
Runtimes = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        metavar="A,B",
        help="Of those that `edgeinspect doctor` lists.  [default: all that are ready]",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all that is random.")]
Select = Annotated[bool, typer.Option("--select", help="Choose the rule on synthetic defects.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]
Target = Annotated[
    str,
    typer.Option(
        "--target",
        help="What is reconstructed: pixels, features of a pretrained backbone, or both.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="CPU threads.  [default: all cores]"),
]
Tile = Annotated[
    bool | None,
    typer.Option(
        "--tile/--no-tile",
        help="Cut pictures into square tiles, or squash them.  [default: by their shape]",
    ),
]
