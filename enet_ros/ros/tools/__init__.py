"""Programs around the node, which use it and which it never imports."""
