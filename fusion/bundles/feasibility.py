"""Feasibility: whether a plan can be met at all, and if not, which conditions are at odds."""

from __future__ import annotations

import numpy as np

from fusion.bundles.problem import Problem
from fusion.bundles.solver import cheapest
from kg.errors import InputError


class InfeasibleError(InputError):
    """No combination meets a plan.

    Attributes:
        conditions: A smallest set of conditions that cannot be met together: without any one
            of them they can.
    """

    def __init__(
        self,
        message: str,
        conditions: tuple[str, ...],
    ) -> None:
        super().__init__(message, "plan")
        self.conditions = conditions


def conflict(problem: Problem) -> tuple[str, ...]:
    """A smallest set of conditions that cannot be met together, () where the plan can be met.

    A deletion filter: what the rest is at odds without is lifted for good. It is exact
    because lifting a condition only ever allows more.
    """
    if cheapest(problem) is not None:
        return ()
    needed: list[str] = []
    lifted: list[str] = []
    for name in problem.conditions:
        if cheapest(problem.without([*lifted, name])) is None:
            lifted.append(name)
        else:
            needed.append(name)
    return tuple(needed)


def check(problem: Problem) -> None:
    """Whether the plan can be met.

    Raises:
        InfeasibleError: It cannot; the message names the conditions at odds, and of a budget
            what the cheapest combination costs that meets the rest.
    """
    needed = conflict(problem)
    if not needed:
        return
    message = f"no combination meets {needed[0]}"
    if len(needed) > 1:
        listed = ", ".join(needed[:-1])
        message = f"no combination meets {listed} and {needed[-1]} together"
    budget = problem.budget_condition
    if budget in needed and problem.price is not None:
        least = cheapest(problem.without([budget]))
        if least is not None:
            cost = np.nansum(problem.price[least])
            message += f"; the cheapest that meets the rest costs {cost:.4g}"
    raise InfeasibleError(message, needed)
