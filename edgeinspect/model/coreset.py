"""k-centre greedy, the coreset of PatchCore (arXiv 2106.08265), fast enough for one CPU core.

Always the point farthest from all that were chosen is chosen next. Done plainly, each choice costs
a pass over all points. Here the choices of a round are made among the farthest points alone, as
long as one of them is certain to be the farthest of all; then all points learn of them in one
matrix product. The choices are those of the plain rule, up to rounding where distances tie.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["greedy_coreset"]

N_CANDIDATES = 4096  # a round; 2.5 MB at 152 numbers a point, which stays in the cache
CHUNK = 512  # points a matrix product


def greedy_coreset(points: Tensor, n_kept: int, *, first: int) -> Tensor:
    """Indices (n_kept,) of the chosen among points (N, D), in the order of choice.

    `first` is the index that is chosen first; n_kept is 1 to N.
    """
    squares = points.square().sum(dim=1)
    gaps = torch.full_like(squares, torch.inf)  # (N,) squared distance to the nearest chosen
    chosen = [torch.tensor([first])]
    n_left = n_kept - 1
    while n_left:
        _learn(gaps, points, squares, chosen[-1])
        chosen.append(_next_choices(points, squares, gaps, n_left))
        n_left -= len(chosen[-1])
    return torch.cat(chosen)


def _next_choices(points: Tensor, squares: Tensor, gaps: Tensor, n_most: int) -> Tensor:
    """Indices of the next few choices, at least one and at most `n_most`.

    Candidates are the points that are farthest now. One is certain while it is farther than every
    other point was at the start of the round, since distances to the nearest only fall.
    """
    n = min(N_CANDIDATES, len(gaps) - 1)
    top = gaps.topk(n + 1)
    candidates, limit = top.indices[:n], float(top.values[n])
    near, near_squares, near_gaps = points[candidates], squares[candidates], top.values[:n].clone()
    new: list[int] = []
    while len(new) < n_most:
        place = int(near_gaps.argmax())
        if new and float(near_gaps[place]) < limit:
            break
        new.append(place)
        distances = near_squares + near_squares[place] - 2 * (near @ near[place])
        torch.minimum(near_gaps, distances, out=near_gaps)
        near_gaps[place] = -1.0  # never again
    return candidates[new]


def _learn(gaps: Tensor, points: Tensor, squares: Tensor, new: Tensor) -> None:
    """Lower `gaps` to the new choices where these are nearer."""
    centres, centre_squares = points[new], squares[new]
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        product = torch.addmm(centre_squares, points[part], centres.T, alpha=-2)
        torch.minimum(gaps[part], product.amin(dim=1) + squares[part], out=gaps[part])
    gaps[new] = -1.0  # never again
