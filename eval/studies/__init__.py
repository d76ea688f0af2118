"""Measurements beside the benchmark table: bundles, compatibility, explanations."""
