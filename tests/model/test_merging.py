from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.model.merging import (
    attention_bias,
    merge_matrix,
    merge_tokens,
    unmerge_tokens,
)

cases = st.tuples(st.integers(4, 17), st.integers(0, 2**16), st.floats(0, 1)).map(
    lambda c: (c[0], c[1], int(c[2] * (c[0] // 2)))
)


def merged_by_the_definition(keys, tokens, sizes, r):
    """Bipartite soft matching, token by token; what must come out, sorted: (*mean, size)."""
    unit = keys / keys.norm(dim=-1, keepdim=True)
    even, odd = range(0, len(keys), 2), range(1, len(keys), 2)
    proposals = []
    for a in even:
        b = max(odd, key=lambda j: float(unit[a] @ unit[j]))
        proposals.append((float(unit[a] @ unit[b]), a, b))
    groups = {i: [i] for i in range(len(keys))}
    for _, a, b in sorted(proposals, reverse=True)[:r]:
        groups[b].append(a)
        del groups[a]
    out = []
    for members in groups.values():
        size = sum(float(sizes[i]) for i in members)
        mean = sum(tokens[i] * float(sizes[i]) for i in members) / size
        out.append((*mean.tolist(), size))
    return sorted(out)


def draw(n, seed):
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(n, 5, generator=generator)
    tokens = torch.randn(n, 3, generator=generator)
    sizes = torch.randint(1, 4, (n, 1), generator=generator).float()
    return keys, tokens, sizes


@given(cases)
def test_merging_equals_the_definition(case):
    n, seed, r = case
    keys, tokens, sizes = draw(n, seed)
    matrix = merge_matrix(keys[None], r)
    merged, new_sizes = merge_tokens(matrix, tokens[None], sizes[None])
    got = sorted((*t, float(s)) for t, s in zip(merged[0].tolist(), new_sizes[0], strict=True))
    expected = merged_by_the_definition(keys, tokens, sizes, r)
    assert torch.allclose(torch.tensor(got), torch.tensor(expected), atol=1e-5)


@given(cases)
def test_every_token_goes_to_exactly_one_merged_token(case):
    n, seed, r = case
    matrix = merge_matrix(draw(n, seed)[0][None], r)
    assert matrix.shape == (1, n - r, n)
    assert (matrix.sum(dim=1) == 1).all()


@given(cases)
def test_unmerged_tokens_are_the_means_of_their_groups(case):
    n, seed, r = case
    keys, tokens, sizes = draw(n, seed)
    matrix = merge_matrix(keys[None], r)
    merged, _ = merge_tokens(matrix, tokens[None], sizes[None])
    back = unmerge_tokens(matrix, merged)[0]
    for i in range(n):
        group = matrix[0, :, i].argmax()
        assert torch.allclose(back[i], merged[0, group])


def test_merging_nothing_keeps_every_token():
    tokens = torch.randn(1, 6, 3)
    matrix = merge_matrix(torch.randn(1, 6, 5), 0)
    merged, sizes = merge_tokens(matrix, tokens, torch.ones(1, 6, 1))
    assert torch.equal(unmerge_tokens(matrix, merged), tokens)
    assert (sizes == 1).all()


@given(st.integers(0, 2**16))
def test_protected_tokens_are_neither_merged_away_nor_into(seed):
    keys = draw(16, seed)[0][None]
    protected = torch.zeros(1, 16, dtype=torch.bool)
    protected[0, ::4] = protected[0, 1::4] = True
    matrix = merge_matrix(keys, 3, protected)
    group_sizes = (matrix.mT @ matrix.sum(dim=2, keepdim=True))[0, :, 0]
    assert (group_sizes[protected[0]] == 1).all()


def test_a_token_of_two_patches_counts_twice_in_attention():
    logits = torch.randn(1, 1, 2, 3)
    sizes = torch.tensor([[[1.0], [2.0], [1.0]]])
    weighted = (logits + attention_bias(sizes)).softmax(-1)
    doubled = torch.cat([logits[..., :2], logits[..., 1:]], dim=-1).softmax(-1)
    assert torch.allclose(weighted[..., 1], doubled[..., 1] + doubled[..., 2])
