"""Optimal assignment of few to few, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence


def best_assignment(scores: Sequence[Sequence[float]]) -> list[int]:
    """Give each row at most one column so that the sum of the chosen scores is largest.

    The Hungarian method with potentials, O(rows² · columns).

    Args:
        scores: Shape (R, C), each ≥ 0.

    Returns:
        Column of each row, −1 where there are fewer columns than rows or nothing to gain.
    """
    rows = len(scores)
    columns = max(rows, len(scores[0]) if rows else 0)
    cost = [[-score for score in row] + [0.0] * (columns - len(row)) for row in scores]
    row_potential, column_potential = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # row of each column, from 1; column 0 holds the row being placed
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        slack, previous, used = [math.inf] * (columns + 1), [0] * (columns + 1), [False] * (columns + 1)
        while owner[column]:
            used[column] = True
            placed, step, following = owner[column], math.inf, 0
            for other in range(1, columns + 1):
                if used[other]:
                    continue
                reduced = cost[placed - 1][other - 1] - row_potential[placed] - column_potential[other]
                if reduced < slack[other]:
                    slack[other], previous[other] = reduced, column
                if slack[other] < step:
                    step, following = slack[other], other
            for other in range(columns + 1):
                if used[other]:
                    row_potential[owner[other]] += step
                    column_potential[other] -= step
                else:
                    slack[other] -= step
            column = following
        while column:  # shift the owners along the path that was found
            owner[column] = owner[previous[column]]
            column = previous[column]
    chosen = [-1] * rows
    for column in range(1, columns + 1):
        row = owner[column]
        if row and column <= len(scores[row - 1]) and scores[row - 1][column - 1] > 0:
            chosen[row - 1] = column - 1
    return chosen
