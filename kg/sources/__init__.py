"""Data sources, one file each.

A frozen config whose load() returns Tables and whose example() is a small instance.
"""
