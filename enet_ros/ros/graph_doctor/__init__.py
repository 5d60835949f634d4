"""A look at the running graph: why there is no mask, or a bad one."""
