"""The commands of `python -m eval`, one a file: `declare` says its options, `run` runs it."""
