"""The ways to max-pool and unpool: equal to PyTorch's operators and to each other."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.networks import trained_like
from torch.nn import functional as F

from enet_ros.network.unpooling import (
    BY_CONVOLUTION,
    BY_MAXIMA,
    BY_SHUFFLE,
    BY_SLICES,
    use_unpooling,
)

METHODS = {'slices': BY_SLICES, 'maxima': BY_MAXIMA, 'shuffle': BY_SHUFFLE,
           'convolution': BY_CONVOLUTION}
each_method = pytest.mark.parametrize('method', METHODS.values(), ids=METHODS)

# Few values, so that most windows have ties.
shapes = st.tuples(st.integers(1, 2), st.integers(1, 3), st.just(6), st.just(4))
planes = arrays(np.float32, shapes, elements=st.sampled_from([-2.0, -0.0, 0.0, 1.0, 1.5, 3e38]))


@each_method
@settings(deadline=None)
@given(plane=planes)
def test_pool_and_unpool_equal_torchs_ties_included(method, plane):
    x = torch.from_numpy(plane)
    pooled, positions = method.pool(x)
    expected, indices = F.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(pooled, expected)
    assert torch.equal(method.maxima(x), expected)
    values = torch.arange(1.0, expected.numel() + 1).reshape(expected.shape)
    assert torch.equal(method.unpool(values, positions), F.max_unpool2d(values, indices, 2))


@each_method
@settings(deadline=None)
@given(plane=planes)
def test_unpool_has_the_gradient_of_torchs(method, plane):
    x = torch.from_numpy(plane)
    _, positions = method.pool(x)
    _, indices = F.max_pool2d(x, 2, return_indices=True)
    ours, theirs = (torch.rand(x.shape[0], x.shape[1], 3, 2, generator=torch.manual_seed(0))
                    .requires_grad_() for _ in range(2))
    weights = torch.arange(float(x.numel())).reshape(x.shape)
    (method.unpool(ours, positions) * weights).sum().backward()
    (F.max_unpool2d(theirs, indices, 2) * weights).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)


def test_all_ways_to_pool_give_equal_logits():
    network, x = trained_like(), torch.randn(1, 3, 32, 48)
    with torch.inference_mode():
        expected, *others = (use_unpooling(network, method)(x) for method in METHODS.values())
    assert len(others) == 3
    assert all(torch.equal(logits, expected) for logits in others)


@settings(deadline=None)
@given(plane=planes)
def test_maxima_has_the_masks_of_slices(plane):
    x = torch.from_numpy(plane)
    masks, expected = BY_MAXIMA.pool(x)[1], BY_SLICES.pool(x)[1]
    assert all(torch.equal(mask, other) for mask, other in zip(masks, expected, strict=True))


def operators_of(method):
    """Name the operators that a network pools and unpools by, as torch.export sees them."""
    network = use_unpooling(trained_like(), method)
    graph = torch.export.export(network, (torch.zeros(1, 3, 16, 16),)).graph
    return {str(node.target) for node in graph.nodes if node.op == 'call_function'}


def test_maxima_exports_without_a_pooling_operator():
    assert 'aten.max_pool2d.default' in operators_of(BY_SLICES)
    assert not any('max_pool' in name for name in operators_of(BY_MAXIMA))
