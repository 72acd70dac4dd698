"""A bar chart of the ratios as SVG, for which nothing needs to be installed."""

from __future__ import annotations

from html import escape

from benchmarks.names import title
from benchmarks.peers import BY_NAME, OURS
from benchmarks.ratios import Results, fastest
from benchmarks.table import measured_engines

_COLOURS = ("#c0392b", "#2e86c1", "#17a589", "#d68910", "#7d3c98", "#839192", "#b7950b", "#5d6d7e")
_BAR, _GAP, _LEFT, _TOP, _UNIT, _LARGEST = 9, 14, 150, 56, 220, 3.0


def ratio_chart(results: Results, count: str) -> str:
    """For each network, the CPU time of every engine over that of the fastest peer, which is the line at 1."""
    names = measured_engines(results)
    parts, y = [], _TOP
    for variant, network in results["networks"].items():
        engines = network["threads"].get(count, {})
        best = fastest(engines, "cpu", "min")
        if best is None:
            continue
        parts.append(_text(_LEFT - 8, y + _BAR * len(names) / 2 + 4, title(variant), "end"))
        for name in names:
            if name in engines:
                parts += _bar(y, engines[name]["cpu"]["min"] / engines[best]["cpu"]["min"], names.index(name))
            y += _BAR
        y += _GAP
    line = f'<line x1="{_LEFT + _UNIT}" x2="{_LEFT + _UNIT}" y1="{_TOP - 6}" y2="{y}" stroke="#222"/>'
    width = _LEFT + int(_UNIT * _LARGEST) + 60
    head = f"CPU time over that of the fastest peer ({results['precision']}, {count} thread(s)); shorter is faster"
    size = f'width="{width}" height="{y + 10}"'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    background = f'<rect {size} fill="white"/>'
    return "\n".join([start, background, _text(10, 18, head), *_legend(names), *parts, line, "</svg>", ""])


def _bar(y: float, value: float, colour: int) -> list[str]:
    width = _UNIT * min(value, _LARGEST)
    fill = _COLOURS[colour % len(_COLOURS)]
    return [
        f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 1}" fill="{fill}"/>',
        f'<text x="{_LEFT + width + 3:.1f}" y="{y + 8}" font-size="8">{value:.2f}</text>',
    ]


def _legend(names: list[str]) -> list[str]:
    parts, x = [], 10
    for index, name in enumerate(names):
        label = BY_NAME[name].title
        parts.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{_COLOURS[index % len(_COLOURS)]}"/>')
        parts.append(_text(x + 14, 37, label, weight="bold" if name == OURS else "normal"))
        x += 30 + 7 * len(label)
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
