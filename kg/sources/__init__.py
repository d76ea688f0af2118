"""Data sources, one file each: a frozen config whose load() returns Tables and whose example() is a small instance."""
