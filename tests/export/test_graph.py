"""Fusion as the graph does it, against the equation."""

from __future__ import annotations

import torch

from edgeinspect.export.graph import select_reconstructions
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.masks import block_masks

from .conftest import CONFIG, SIZE


def test_selecting_is_the_sum_over_the_complements() -> None:
    masks = block_masks(CONFIG.generator)
    recons = torch.rand(3, len(masks), 2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    found = select_reconstructions(recons, masks[:, 0, None] > 0)
    assert torch.equal(found, fuse_reconstructions(recons, masks))


def test_what_a_pass_saw_spoils_no_pixel() -> None:
    masks = block_masks(CONFIG.generator)
    recons = torch.where(masks[None, :, :, None] > 0, 0.5, torch.nan).expand(1, -1, -1, 3, -1, -1)
    assert (select_reconstructions(recons, masks[:, 0, None] > 0) == 0.5).all()
