"""Meaning: the gate, the context, the metapath counts, the model and the recommender. Imports kg and encoders."""
