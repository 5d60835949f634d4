"""The backend ``triton``: ENet as a few fused kernels, written in Triton."""
