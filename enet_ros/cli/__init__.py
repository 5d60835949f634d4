"""The command line: one module a command, and main.py, which chooses."""
