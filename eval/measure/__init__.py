"""Metrics, the protocol, intervals and reports."""
