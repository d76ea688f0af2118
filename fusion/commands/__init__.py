"""The commands of python -m fusion, one a file: arguments declares, run gives the exit code."""
