"""Tasks: how (ask, target) pairs are drawn. One file each."""
