"""What is raised if an output cannot be made."""


class OutputError(Exception):
    """One output cannot be made from a frame. The others go on."""
