"""What every room may use: errors of one line, names, YAML and files that are there already."""
