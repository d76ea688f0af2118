"""Judgement: metrics, protocol, baselines, reports."""
