"""What the measured times say: statistics of runs, ratios to the fastest peer, and the bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.names import title
from benchmarks.peers import BY_NAME, OURS

STATISTICS = ("min", "p10", "median")
# Engines whose outputs differ more from PyTorch's (part of the largest value) compute something else.
LARGEST_ERROR = {"fp32": 2e-3, "int8": 0.5}
SLOWEST, MEAN, TWO_THREADS, PEAK_SHARE = 1.0, 0.90, 1.8, 0.75
SCALING_NETWORK = "resnet50"

Results = Mapping[str, Any]


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds."""
    values = np.array(seconds) * 1e3
    return {"min": float(values.min()), "p10": float(np.percentile(values, 10)), "median": float(np.median(values))}


def is_rival(name: str) -> bool:
    return name != OURS and not BY_NAME[name].reported_only


def fastest(engines: Mapping[str, Any], clock: str, statistic: str) -> str | None:
    """The fastest peer that takes part in the comparison."""
    rivals = [name for name in engines if is_rival(name)]
    return min(rivals, key=lambda name: engines[name][clock][statistic], default=None)


def ratio(engines: Mapping[str, Any], clock: str, statistic: str, other: str | None = None) -> float | None:
    """Our time over that of ``other``, by default the fastest peer; None when one of them is missing."""
    other = other or fastest(engines, clock, statistic)
    if other is None or OURS not in engines or other not in engines:
        return None
    ours, theirs = engines[OURS][clock][statistic], engines[other][clock][statistic]
    return float(ours / theirs) if ours and theirs else None  # a clock may not have advanced


def geometric_mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None


def thread_counts(results: Results) -> list[str]:
    return sorted({count for network in results["networks"].values() for count in network["threads"]}, key=int)


def mean_ratio(results: Results, count: str, clock: str, statistic: str, other: str | None = None) -> float | None:
    networks = [network["threads"].get(count, {}) for network in results["networks"].values()]
    return geometric_mean(ratio(engines, clock, statistic, other) for engines in networks)


def peak_share(results: Results, variant: str, count: str) -> float | None:
    """Our multiply-adds a second of CPU time in the quickest run, as a part of a core's measured peak."""
    network = results["networks"][variant]
    ours, peak = network["threads"].get(count, {}).get(OURS), results["peak_gflops"].get(count)
    if ours is None or not ours["cpu"]["min"] or not peak or not network.get("gflop"):
        return None
    return float(network["gflop"] / (ours["cpu"]["min"] / 1e3) / (peak / int(count)))


def speed_up(results: Results, variant: str) -> float | None:
    """Of two threads over one, elapsed time."""
    threads = results["networks"].get(variant, {}).get("threads", {})
    if any(OURS not in threads.get(count, {}) for count in ("1", "2")):
        return None
    return float(threads["1"][OURS]["wall"]["min"] / threads["2"][OURS]["wall"]["min"])


def missed(results: Results) -> list[str]:
    """A sentence for each bar that is not met."""
    found = []
    for count in thread_counts(results):
        threads = f"{count} thread{'s' if count != '1' else ''}"
        for variant, network in results["networks"].items():
            found += _slower(variant, network["threads"].get(count, {}), threads)
        for statistic in ("min", "p10") if results["precision"] == "fp32" else ():
            mean = mean_ratio(results, count, "cpu", statistic)
            if mean is not None and mean > MEAN:
                found.append(f"geometric mean, {threads}, {statistic}: {mean:.2f} of the fastest peer, bar {MEAN:.2f}")
    if results["precision"] == "fp32":
        found += _bounds(results)
    return found


def _slower(variant: str, engines: Mapping[str, Any], threads: str) -> list[str]:
    values = {statistic: ratio(engines, "cpu", statistic) for statistic in ("min", "p10")}
    slower = [f"{value:.2f} ({name})" for name, value in values.items() if value is not None and value > SLOWEST]
    if not slower:
        return []
    return [f"{title(variant)}, {threads}: {', '.join(slower)} of the fastest peer, bar {SLOWEST:.2f}"]


def _bounds(results: Results) -> list[str]:
    found = []
    scaling = speed_up(results, SCALING_NETWORK)
    if scaling is not None and scaling < TWO_THREADS:
        found.append(f"{title(SCALING_NETWORK)}, 2 threads: {scaling:.2f}× of 1 thread, bar {TWO_THREADS}×")
    if SCALING_NETWORK in results["networks"]:
        share = peak_share(results, SCALING_NETWORK, "1")
        if share is not None and share < PEAK_SHARE:
            found.append(f"{title(SCALING_NETWORK)}: {share:.0%} of the measured peak, bar {PEAK_SHARE:.0%}")
    return found
