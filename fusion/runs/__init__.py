"""Run folders: written whole or not at all, verified when opened."""
