"""Metapath counts as they would be without some edges."""
