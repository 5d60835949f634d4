"""Measurements on this machine; needs the extra bench."""
