"""What `python -m fusion` can do, one command a file: `arguments` declares, `run` does it and returns the exit code."""
