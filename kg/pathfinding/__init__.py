"""Paths to show: simple typed paths between two nodes, found from both ends."""
