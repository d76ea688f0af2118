"""Sparse products against SciPy."""

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusion.model.sparse import Sparse


@given(st.data())
def test_spread_is_a_product_of_sparse_matrices(data):
    height, width, size = (data.draw(st.integers(1, 6)) for _ in range(3))
    entries = st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=width, max_size=width)
    dense = np.array(
        data.draw(st.lists(entries, min_size=height, max_size=height)), np.float32
    )
    pairs = data.draw(
        st.lists(
            st.tuples(st.integers(0, size - 1), st.integers(0, height - 1)), max_size=8
        )
    )
    owners, rows = (
        torch.tensor([p[k] for p in pairs], dtype=torch.long) for k in range(2)
    )
    matrix = Sparse.of(sp.csr_matrix(dense), torch.device("cpu"))
    chosen = sp.csr_matrix((np.ones(len(pairs)), (owners, rows)), shape=(size, height))
    assert (matrix.spread(rows, owners, size).numpy() == (chosen @ dense)).all()
    best = np.zeros((size, width))
    for owner, row in pairs:
        best[owner] = np.maximum(best[owner], dense[row])
    assert (matrix.spread(rows, owners, size, "amax").numpy() == best).all()
