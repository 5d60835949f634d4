"""The graph the node runs, written to files of other runtimes and in 8 bits."""
