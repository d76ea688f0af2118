"""The door: an HTTP API over a trained run, and a page to explore it."""
