"""Bytes of image messages to arrays, and arrays to bytes."""
