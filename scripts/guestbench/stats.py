# SPDX-License-Identifier: BSD-2-Clause
"""Medians, and how well they are known."""
import dataclasses
import math
import statistics

CONFIDENCE = 0.95


def coverage(count, rank):
    """How probable it is that the true median of COUNT independent samples lies between the RANK-th smallest and the
    RANK-th largest one, whatever their distribution: fewer than RANK of them on either side of it is improbable."""
    outside = sum(math.comb(count, below) for below in range(rank)) / 2 ** count
    return 1 - 2 * outside


def bound_rank(count):
    """The highest rank that still has the wanted confidence, or 1: fewer than 6 samples have no such bounds at all."""
    rank = 1
    while rank + 1 <= count // 2 and coverage(count, rank + 1) >= CONFIDENCE:
        rank += 1
    return rank


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A median, and the bounds that hold it with that confidence."""
    median: float
    low: float
    high: float
    count: int
    confidence: float


def estimate(samples):
    """Of at least one sample."""
    ordered = sorted(samples)
    rank = bound_rank(len(ordered))
    return Estimate(statistics.median(ordered), ordered[rank - 1], ordered[-rank], len(ordered),
                    max(0.0, coverage(len(ordered), rank)))


def paired_ratios(samples, baseline):
    """Both are round -> value; the ratios of those rounds that both have, since a machine that changes its speed does
    so for both of them."""
    return [samples[r] / baseline[r] for r in sorted(samples) if baseline.get(r)]
