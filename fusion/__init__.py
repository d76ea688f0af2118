"""Meaning: the gate, the context, the counted paths, the model and the recommender. Imports kg and encoders."""
