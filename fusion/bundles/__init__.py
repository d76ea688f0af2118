"""Whole combinations under a plan: built, judged, completed and ranked."""
