"""Solver: the cheapest combination that meets a problem's conditions, as an integer program."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from fusion.bundles.problem import Problem
from fusion.ranking.values import BoolArray, Values
from kg.tables import FloatArray, IntArray


def cheapest(problem: Problem) -> IntArray | None:
    """The rows of the combination that costs least, ascending; None where there is none."""
    program = _Program(problem)
    if not program.count:
        return None
    program.add_size()
    program.add_slots()
    program.add_requirements()
    program.add_apart()
    program.add_budget()
    return program.solved()


class _Program:
    """One binary variable an item that may be chosen, then one for each slot that it fits.

    Attributes:
        rows: (N,) of the items: the context items, then the candidates.
        count: N.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.rows = np.concatenate([problem.at_hand, candidates(problem)])
        self.count = len(self.rows)
        self.slots = problem.standing()
        pairs = [
            (s, v)
            for s, slot in enumerate(self.slots)
            for v in np.flatnonzero(slot.mask[self.rows]).tolist()
        ]
        slot, variable = np.array(pairs, np.int64).reshape(-1, 2).T
        self.slot: IntArray = slot
        self.variable: IntArray = variable
        self.width = self.count + len(pairs)
        self.cost = np.zeros(self.width)
        if problem.price is not None:
            self.cost[: self.count] = np.nan_to_num(problem.price[self.rows])
        self.matrices: list[sp.csr_matrix] = []
        self.low: list[FloatArray] = []
        self.high: list[FloatArray] = []

    def _add(
        self,
        matrix: sp.csr_matrix,
        low: float,
        high: float,
    ) -> None:
        """Constraints of M sums: low <= matrix (M, width) times the variables <= high."""
        self.matrices.append(matrix)
        self.low.append(np.full(matrix.shape[0], low))
        self.high.append(np.full(matrix.shape[0], high))

    def _add_sum(
        self,
        columns: IntArray,
        low: float,
        high: float,
        weights: FloatArray | None = None,
    ) -> None:
        """A constraint of one sum of some variables."""
        values = np.ones(len(columns)) if weights is None else weights
        line = np.zeros(len(columns), int)
        matrix = sp.csr_matrix((values, (line, columns)), (1, self.width))
        self._add(matrix, low, high)

    def add_size(self) -> None:
        """As many items as the plan has."""
        least, most = self.problem.sizes
        self._add_sum(np.arange(self.count), least, most)

    def add_slots(self) -> None:
        """Each slot has its items, and an item stands in one slot."""
        for s, slot in enumerate(self.slots):
            columns = self.count + np.flatnonzero(self.slot == s)
            self._add_sum(columns, slot.least, slot.most)
        if not self.slots:
            return
        pairs = self.count + np.arange(len(self.slot))
        seats = sp.csr_matrix(
            (np.ones(len(pairs)), (self.variable, pairs)), (self.count, self.width)
        )
        stands = seats - sp.eye(self.count, self.width, format="csr")
        # A context item may stand in no slot where it fits none.
        fits = np.bincount(self.variable, minlength=self.count) > 0
        at_hand = np.arange(self.count) < len(self.problem.at_hand)
        aside = at_hand & ~fits
        self._add(stands[~aside], 0.0, 0.0)

    def add_requirements(self) -> None:
        """Of each requirement there is an item."""
        for mask in self.problem.required():
            self._add_sum(np.flatnonzero(mask[self.rows]), 1, np.inf)

    def add_apart(self) -> None:
        """No two items share a value."""
        apart = self.problem.apart()
        if apart is None:
            return
        inside = np.isin(apart.item, self.rows)
        order = np.argsort(self.rows, kind="stable")
        column = order[np.searchsorted(self.rows[order], apart.item[inside])]
        has = np.ones(len(column)), (apart.value[inside], column)
        table = sp.csr_matrix(has, (len(apart.names), self.width))
        shared = np.diff(table.indptr) > 1
        self._add(table[shared], -np.inf, 1.0)

    def add_budget(self) -> None:
        """All together cost no more than the budget."""
        limit = self.problem.limit
        if np.isfinite(limit):
            prices = self.cost[: self.count]
            self._add_sum(
                np.arange(self.count),
                -np.inf,
                limit + 1e-9,
                prices,
            )

    def solved(self) -> IntArray | None:
        """The rows that are chosen; context items that are not lifted always are."""
        sums = LinearConstraint(
            sp.vstack(self.matrices, format="csr"),
            np.concatenate(self.low),
            np.concatenate(self.high),
        )
        least = np.zeros(self.width)
        least[: len(self.problem.kept)] = 1
        found = milp(
            self.cost,
            constraints=sums,
            integrality=np.ones(self.width),
            bounds=Bounds(least, np.ones(self.width)),
        )
        if found.x is None:
            return None
        chosen: IntArray = np.sort(self.rows[found.x[: self.count] > 0.5])
        return chosen


def candidates(problem: Problem) -> IntArray:
    """Rows enough to tell whether and how cheaply the plan can be met.

    Items alike in slots and requirements can stand for each other, so only the cheapest of
    them matter, as many as may be chosen; where no two may share a value, the cheapest of
    each value.
    """
    slots = problem.standing()
    masks = [slot.mask for slot in slots]
    allowed = problem.allowed()
    if slots:
        allowed &= np.any(masks, axis=0)
    rows = np.flatnonzero(allowed)
    alike = np.zeros(len(rows), np.int64)
    for mask in [*masks, *problem.required()]:
        alike = np.unique(2 * alike + mask[rows], return_inverse=True)[1]
    price = np.zeros(len(rows)) if problem.price is None else problem.price[rows]
    apart = problem.apart()
    if apart is not None:
        first = _cheapest_of_values(
            apart,
            rows,
            alike,
            price,
        )
        value_counts = np.bincount(apart.item, minlength=problem.items)
        if value_counts[rows].max(initial=0) > 1:
            return rows[first]
        rows, alike, price = rows[first], alike[first], price[first]
    order = np.lexsort((rows, price, alike))
    rank = np.arange(len(order)) - np.searchsorted(alike[order], alike[order])
    most = problem.sizes[1]
    return rows[order[rank < most]]


def _cheapest_of_values(
    apart: Values,
    rows: IntArray,
    alike: IntArray,
    price: FloatArray,
) -> IntArray:
    """Places of the cheapest of the rows that are alike and have the same values."""
    code = _value_codes(apart)[rows]
    order = np.lexsort((price, code, alike))
    pair = np.stack([alike[order], code[order]])
    new: BoolArray = np.any(np.diff(pair, prepend=-1) != 0, axis=0)
    return order[np.flatnonzero(new)]


def _value_codes(apart: Values) -> IntArray:
    """(I,) each item's values as one random number; without any, a number of the item's own."""
    count = len(apart.names)
    numbers = np.random.default_rng(0).integers(1, 2**62, count + apart.items)
    has = np.bincount(apart.item, minlength=apart.items) > 0
    total = np.zeros(apart.items, np.int64)
    np.add.at(total, apart.item, numbers[apart.value])
    codes: IntArray = np.where(has, total, numbers[count:])
    return codes
