"""Graphs to vectors: heterogeneous GNN layers and a neighbour sampler."""
