"""Runtimes for the frame graph, behind one small interface (base.py)."""
