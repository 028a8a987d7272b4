"""What it brings that removed tokens start from their fill (docs/decisions/0003).

    python benchmarks/query_fill.py

Two generators of form `cross` learn striped images of 64 px, one with and one without the fill in
its queries; L1 on unseen images by scale, as training goes on. Same weights, images and order.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from edgeinspect.config import RunConfig, Target, preset, with_settings
from edgeinspect.data.images import save_picture
from edgeinspect.training.losses import ConsistencyLoss
from edgeinspect.training.networks import build_networks
from edgeinspect.training.pictures import GoodImages

SETTINGS = {
    "size": "64", "patch": "8", "mask_scales": "1,2", "width": "64", "depth": "2",
    "decoder_depth": "2", "decoder_width": "64",
}  # fmt: skip
N_STEPS, EVERY, BATCH, RATE = 300, 50, 8, 1e-3
OUT = Path(__file__).parent / "results" / "query_fill.json"


def main() -> None:
    torch.set_num_threads(1)
    config = with_settings(preset("nano", Target.PIXELS), SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        images = _images(Path(folder), config)
        rows = {name: _learn(config, images, keep) for name, keep in _CASES.items()}
    OUT.write_text(json.dumps(rows, indent=1) + "\n")


_CASES = {"query without fill": False, "query with fill": True}


def _learn(config: RunConfig, images: GoodImages, keep_fill: bool) -> list[dict[str, object]]:
    reconstructor = build_networks(config).reconstructor
    generator = reconstructor.generator
    if not keep_fill:
        generator.form.fill_embedding = None
    loss = ConsistencyLoss(config.losses, config.generator.size)
    optimiser = torch.optim.AdamW(reconstructor.parameters(), lr=RATE)
    unseen = torch.stack([images[10**6 + i] for i in range(16)])
    random = torch.Generator().manual_seed(0)
    rows: list[dict[str, object]] = []
    for step in range(N_STEPS + 1):
        batch = torch.stack([images[BATCH * step + i] for i in range(BATCH)])
        scales = torch.randint(0, 2, (BATCH,), generator=random)
        fused = reconstructor(batch, scales, False).images
        optimiser.zero_grad()
        (20 * sum(loss(batch, fused).values())).backward()
        torch.nn.utils.clip_grad_norm_(reconstructor.parameters(), 1.0)
        optimiser.step()
        if step % EVERY == 0:
            with torch.no_grad():
                error = (generator.reconstruct(unseen) - unseen.unsqueeze(1)).abs()
            rows.append({"step": step, "l1": error.mean(dim=(0, 2, 3, 4)).tolist()})
            print(keep_fill, rows[-1])
    return rows


def _images(folder: Path, config: RunConfig) -> GoodImages:
    """Stripes at a random phase with a little noise: something to learn, and quickly."""
    rng = np.random.default_rng(0)
    for i in range(32):
        stripes = 128 + 60 * np.sin(np.arange(64) / 3 + rng.uniform(0, 6))
        grey = np.clip(stripes + rng.normal(0, 4, (64, 64)), 0, 255).astype(np.uint8)
        save_picture(folder / f"{i:02d}.png", np.repeat(grey[..., None], 3, axis=-1))
    paths = sorted(folder.iterdir())
    return GoodImages(paths, config.preprocess, config.augment, seed=0, n_images=10**7)


if __name__ == "__main__":
    main()
