"""Metapath counts: sparse matrices of typed paths of one or two hops."""
