"""Compressed image files: what their headers promise, and how they are decoded."""
