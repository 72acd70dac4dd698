"""The measurements as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.names import title
from benchmarks.peers import BY_NAME, ENGINES, OURS
from benchmarks.ratios import Results, fastest, mean_ratio, missed, peak_share, ratio, speed_up, thread_counts


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns but the first to the right."""
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows))


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def measured_engines(results: Results) -> list[str]:
    """Names, in the order of the table of engines."""
    found = {
        name for network in results["networks"].values() for engines in network["threads"].values() for name in engines
    }
    return [engine.name for engine in ENGINES if engine.name in found]


def latency(results: Results) -> str:
    """Every table of one precision, the remarks, and the bars that are missed."""
    parts = [provenance(results)]
    for count in thread_counts(results):
        parts += [f"**{results['precision']}, {count} thread{'s' if count != '1' else ''}**", _threads(results, count)]
    scaling = speed_up(results, "resnet50")
    if scaling is not None:
        parts.append(f"ResNet-50 on two threads is {scaling:.2f} times as fast as on one.")
    parts += [_agreement(results), _left_out(results), bars(missed(results))]
    return "\n\n".join(part for part in parts if part)


def provenance(results: Results) -> str:
    machine, versions = results["machine"], results["versions"]
    engines = ", ".join(f"{BY_NAME[name].title} {version}" for name, version in versions.items() if name != OURS)
    peaks = ", ".join(f"{peak:.0f} ({count})" for count, peak in results["peak_gflops"].items() if peak)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; commit {machine['commit']}, "
        f"{machine['date']}. {engines}. {results['rounds']} interleaved rounds, batch 1."
        + (f" Peak of fp32 multiply-adds, measured, in GFLOP/s (threads): {peaks}." if peaks else "")
    )


def _threads(results: Results, count: str) -> str:
    names = measured_engines(results)
    heads = ["CPU ms: min / p10", *(BY_NAME[name].title for name in names), "ratio min", "ratio p10", "ratio, elapsed"]
    if results["precision"] == "fp32":
        heads.append("of peak")
    rows = []
    for variant, network in results["networks"].items():
        engines = network["threads"].get(count, {})
        row = [title(variant), *(_cell(engines, name) for name in names), *_ratios(engines)]
        if results["precision"] == "fp32":
            share = peak_share(results, variant, count)
            row.append("" if share is None else f"{share:.0%}")
        rows.append(row)
    means = [mean_ratio(results, count, clock, statistic) for clock, statistic in _RATIOS]
    rows.append(["geometric mean", *("" for _ in names), *(f"**{number(mean)}**" for mean in means)])
    if len(heads) > len(rows[-1]):
        rows[-1].append("")
    text = markdown(heads, rows)
    for name in names:
        if BY_NAME[name].reported_only:
            mean = mean_ratio(results, count, "cpu", "min", name)
            text += f"\n\nBeside the comparison: {number(mean)} of {BY_NAME[name].title}'s time (geometric mean)."
    return text


_RATIOS = (("cpu", "min"), ("cpu", "p10"), ("wall", "min"))


def _ratios(engines: Mapping[str, Any]) -> list[str]:
    return [number(ratio(engines, clock, statistic)) for clock, statistic in _RATIOS]


def _cell(engines: Mapping[str, Any], name: str) -> str:
    if name not in engines:
        return "–"
    cpu = engines[name]["cpu"]
    text = f"{cpu['min']:.2f} / {cpu['p10']:.2f}"
    return f"**{text}**" if name == fastest(engines, "cpu", "min") else text


def _agreement(results: Results) -> str:
    """The largest difference of each engine to PyTorch."""
    worst: dict[str, float] = {}
    for network in results["networks"].values():
        for engines in network["threads"].values():
            for name, engine in engines.items():
                worst[name] = max(worst.get(name, 0.0), engine["error"])
    texts = ", ".join(f"{BY_NAME[name].title} {worst[name]:.1e}" for name in measured_engines(results))
    return f"Largest difference to PyTorch, as a part of the largest output: {texts}."


def _left_out(results: Results) -> str:
    reasons = [
        f"- {title(variant)}: {BY_NAME[name].title} {reason}"
        for variant, network in results["networks"].items()
        for name, reason in network["left_out"].items()
    ]
    return "Left out:\n" + "\n".join(reasons) if reasons else ""


def bars(sentences: Sequence[str]) -> str:
    if not sentences:
        return "Every bar is met."
    return "Bars that are missed:\n\n" + "\n".join(f"- {sentence}" for sentence in sentences)
