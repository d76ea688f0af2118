"""Vectors: BERT for texts, a GNN for the graph. Imports kg only."""
