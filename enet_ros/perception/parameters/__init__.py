"""Rows of the table of parameters, their names and files, and the settings of one camera."""
