"""The report of a conversion as one HTML page that needs nothing else: no script library, font or picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from converter.report import readable_size

_GOOD, _POOR = 40.0, 20.0  # dB: above, nothing is to be seen; below, look at the layer

_STYLE = """
:root{--ink:#1c2330;--soft:#667085;--line:#e3e7ee;--paper:#fff;--back:#f5f7fa;--accent:#2f6fed;--good:#1a936f;
--fair:#d98e04;--poor:#d1495b}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#2b3340;--paper:#171c24;--back:#0f1319;
--accent:#7aa7ff;--good:#4cc9a0;--fair:#f2b84b;--poor:#ff7b8a}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1280px;margin:0 auto;padding:28px 24px 60px}
h1{font-size:22px;margin:0 0 2px;overflow-wrap:anywhere}h2{font-size:16px;margin:34px 0 10px}
.soft{color:var(--soft)}.files{overflow-wrap:anywhere;margin:0 0 18px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px}
.card,section.box{background:var(--paper);border:1px solid var(--line);border-radius:10px}
.card{padding:14px 16px}.card b{display:block;font-size:18px;font-weight:650;font-variant-numeric:tabular-nums;
white-space:nowrap;letter-spacing:-.2px}
.card span{color:var(--soft);font-size:12.5px}.track{height:5px;background:var(--line);border-radius:3px;margin-top:9px}
.track i{display:block;height:5px;border-radius:3px;background:var(--accent)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{position:sticky;top:0;background:var(--paper);font-weight:600;color:var(--soft);font-size:12px;cursor:pointer}
th[aria-sort]{color:var(--accent)}th.l,td.l{text-align:left}
td.name{min-width:230px;max-width:360px;white-space:normal;overflow-wrap:anywhere}
td.why{min-width:150px;max-width:300px;white-space:normal;color:var(--soft);font-size:12.5px}
tbody tr:last-child td{border-bottom:0}tfoot td{font-weight:650;border-top:2px solid var(--line);border-bottom:0}
.kind{display:inline-block;padding:1px 8px;border-radius:9px;font-size:12px;border:1px solid var(--line)}
.kind.int8{color:var(--good);border-color:var(--good)}.kind.weights{color:var(--accent);border-color:var(--accent)}
.good{color:var(--good)}.fair{color:var(--fair)}.poor{color:var(--poor)}
.tools{display:flex;gap:10px;flex-wrap:wrap;align-items:center;margin-bottom:10px}
input,select{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);border-radius:7px;
padding:5px 9px}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(236px,1fr));gap:12px}
figure{margin:0;padding:10px 12px;background:var(--paper);border:1px solid var(--line);border-radius:10px}
figcaption{font-size:12px;overflow-wrap:anywhere;margin-bottom:4px}
figure p{margin:3px 0 0;font-size:11.5px;color:var(--soft)}
svg{display:block;width:100%;height:64px}svg .in{fill:var(--accent)}svg .out{fill:var(--poor)}
svg .edge{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 2}ul{margin:0;padding:12px 16px 12px 32px}
"""
_SCRIPT = """
const body=document.querySelector('#layers tbody');
function filter(){const t=document.querySelector('#find').value.toLowerCase(),k=document.querySelector('#kind').value;
let n=0;for(const r of body.rows){const ok=(!t||r.dataset.text.includes(t))&&(!k||r.dataset.kind===k);
r.hidden=!ok;n+=ok}
document.querySelector('#count').textContent=n+' of '+body.rows.length+' layers'}
for(const h of document.querySelectorAll('#layers th'))h.onclick=()=>{const i=h.cellIndex,
up=h.getAttribute('aria-sort')!=='ascending';for(const o of h.parentNode.cells)o.removeAttribute('aria-sort');
h.setAttribute('aria-sort',up?'ascending':'descending');
const v=r=>{const c=r.cells[i],x=c.dataset.v;return x===undefined?c.textContent:x===''?Infinity:+x};
body.append(...[...body.rows].sort((a,b)=>{const x=v(a),y=v(b);const d=typeof x==='number'?x-y:x.localeCompare(y);
return (isNaN(d)?0:d)*(up?1:-1)}))};
document.querySelector('#find').oninput=document.querySelector('#kind').onchange=filter;filter();
"""

# Heading, its tooltip, and whether text (left) or numbers stand below.
_COLUMNS = (
    ("#", "execution order", False),
    ("layer", "", True),
    ("kind", "int8: computes in integers; weights: only these are integers", True),
    ("bits", "of its weights", False),
    ("SNR dB", "power of its results over that of their error", False),
    ("cosine", "of its results to those of the float model", False),
    ("max error", "largest error of a result", False),
    ("bytes", "of its constants, before", False),
    ("after", "bytes of its constants, after", False),
    ("MACs", "multiply-adds in one run", False),
    ("float us", "least time on one thread", False),
    ("now us", "least time on one thread, as written", False),
    ("why not int8", "", True),
)


_HISTOGRAMS = (
    ("activation", "Ranges of activations", "seen in calibration; height: square root of the number; red: clipped"),
    ("weight", "Ranges of weights", "kept: by the widest of a weight's scales; outside: of the range of their own"),
)


def page(report: Mapping[str, Any]) -> str:
    """The page for ``Report.as_dict()``."""
    title = escape(str(report.get("source", "")).rpartition("/")[2])
    files = f"{escape(str(report.get('source', '')))} → {escape(str(report.get('output', '')))}"
    quantization = report.get("quantization") or {}
    parts = [f"<h1>{title}</h1>", f'<p class="files soft">{files}</p>', _cards(report, quantization)]
    parts.append(_notes(report.get("notes") or []))
    if quantization:
        data = escape(quantization["data"])
        parts.append(f'<h2>Results of the model <span class="soft">on {data}</span></h2>{_outputs(quantization)}')
        parts.append(f"<h2>Layers</h2>{_layers(quantization['layers'], quantization['totals'])}")
        for kind, title_of_kind, legend in _HISTOGRAMS:
            shown = [h for h in quantization["histograms"] if h["kind"] == kind]
            if shown:
                parts.append(f'<h2>{title_of_kind} <span class="soft">{legend}</span></h2>')
                parts.append('<div class="grid">' + "".join(map(_histogram, shown)) + "</div>")
    script = f"<script>{_SCRIPT}</script>" if quantization else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main>{script}</body></html>\n"
    )


def _cards(report: Mapping[str, Any], quantization: Mapping[str, Any]) -> str:
    before, after = int(report.get("bytes_before", 0)), int(report.get("bytes_after", 0))
    cards = [
        _card(f"{readable_size(before)} → {readable_size(after)}", "file", after / before if before else None),
        _card(f"{report.get('nodes_before', 0)} → {report.get('nodes_after', 0)}", "operators"),
    ]
    if not quantization:
        return f'<div class="cards">{"".join(cards)}</div>'
    totals = quantization["totals"]
    cards.append(_card(f"{totals['int8_part']:.1%}", "of the multiply-adds in int8", totals["int8_part"]))
    t0, t1 = totals["seconds_before"], totals["seconds_after"]
    cards.append(_card(f"{1e3 * t0:.2f} → {1e3 * t1:.2f} ms", "one thread, this machine", t1 / t0 if t0 else None))
    part = f"{1e3 * totals['casts_seconds']:.2f} ms in {totals['casts']} casts"
    snr = [o["snr"] for o in quantization["outputs"] if o["snr"] is not None]
    cards.append(_card(f"{min(snr):.1f} dB" if snr else "exact", f"SNR of the results; {part}"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _card(number: str, text: str, part: float | None = None) -> str:
    width = "" if part is None else f'<div class="track"><i style="width:{min(part, 1):.1%}"></i></div>'
    return f'<div class="card"><b>{escape(number)}</b><span>{escape(text)}</span>{width}</div>'


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<h2>Notes</h2><section class="box"><ul>{items}</ul></section>'


def _outputs(quantization: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td class="l name">{escape(o["name"])}</td>{_snr(o)}{_number(o["cosine"], "{:.6f}")}'
        f"{_number(o['max_error'], '{:.3g}')}</tr>"
        for o in quantization["outputs"]
    )
    head = '<th class="l">result</th><th>SNR dB</th><th>cosine</th><th>max error</th>'
    return f'<section class="box scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>'


def _layers(layers: Sequence[Mapping[str, Any]], totals: Mapping[str, Any]) -> str:
    head = "".join(
        f'<th{" class=l" if left else ""} title="{escape(tip)}">{escape(name)}</th>' for name, tip, left in _COLUMNS
    )
    rows = "".join(_layer(number, layer) for number, layer in enumerate(layers, 1))
    tools = (
        '<div class="tools"><input id="find" placeholder="find a layer or operator" aria-label="find">'
        '<select id="kind" aria-label="kind"><option value="">all kinds</option><option>int8</option>'
        '<option>weights</option><option>float</option></select><span id="count" class="soft"></span></div>'
    )
    foot = f'<tr><td></td><td class="l">all, casts included</td><td colspan="5"></td>{_costs(totals)}<td></td></tr>'
    table = f'<table id="layers"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody><tfoot>{foot}</tfoot></table>'
    return f'{tools}<section class="box scroll">{table}</section>'


def _layer(number: int, layer: Mapping[str, Any]) -> str:
    kind, name, op = layer["kind"], escape(layer["name"]), escape(layer["op"])
    text = escape(f"{layer['name']} {layer['op']}".lower())
    return (
        f'<tr data-kind="{kind}" data-text="{text}">{_number(number, "{}")}'
        f'<td class="l name">{name}<br><span class="soft">{op}</span></td>'
        f'<td class="l"><span class="kind {kind}">{kind}</span></td>{_number(layer["bits"], "{:g}")}{_snr(layer)}'
        f"{_number(layer['cosine'], '{:.6f}')}{_number(layer['max_error'], '{:.3g}')}"
        f'{_costs(layer)}<td class="l why">{escape(layer["reason"])}</td></tr>'
    )


def _costs(layer: Mapping[str, Any]) -> str:
    """Bytes, multiply-adds and times of a layer, or of all."""
    numbers = (_number(layer[key] or None, "{:,}") for key in ("bytes_before", "bytes_after", "macs"))
    return "".join(numbers) + _microseconds(layer["seconds_before"]) + _microseconds(layer["seconds_after"])


def _number(value: float | None, form: str) -> str:
    return '<td data-v=""></td>' if value is None else f'<td data-v="{value}">{form.format(value)}</td>'


def _microseconds(seconds: float) -> str:
    return _number(1e6 * seconds if seconds else None, "{:,.1f}")


def _snr(layer: Mapping[str, Any]) -> str:
    snr = layer["snr"]
    if snr is None:
        exact = "exact" if layer["max_error"] == 0 else ""
        return f'<td data-v="" class="soft">{exact}</td>'
    grade = "good" if snr >= _GOOD else "fair" if snr >= _POOR else "poor"
    return f'<td data-v="{snr:.4f}" class="{grade}">{snr:.1f}</td>'


def _histogram(found: Mapping[str, Any]) -> str:
    """Bars of 64 columns; the ends of the kept range as dashed lines where they clip something."""
    counts, low, high = found["counts"], found["low"], found["high"]
    span, most = high - low, max(max(counts, default=0), 1)
    bars = []
    for i, count in enumerate(counts):
        if not count or span <= 0:
            continue
        middle = low + span * (i + 0.5) / len(counts)
        height = max(1.0, 60 * (count / most) ** 0.5)
        kind = "in" if found["clip_low"] <= middle <= found["clip_high"] else "out"
        bars.append(f'<rect class="{kind}" x="{i}" y="{62 - height:.1f}" width=".86" height="{height:.1f}"/>')
    edges = []
    for end in (found["clip_low"], found["clip_high"]):
        if span > 0 and low < end < high:
            at = (end - low) / span * len(counts)
            edges.append(
                f'<line class="edge" x1="{at:.2f}" x2="{at:.2f}" y1="0" y2="62" vector-effect="non-scaling-stroke"/>'
            )
    box = f'viewBox="0 0 {len(counts)} 62" preserveAspectRatio="none" aria-hidden="true"'
    drawing = f"<svg {box}>{''.join(bars + edges)}</svg>"
    kept = f"{found['method']}: {found['clip_low']:.4g} … {found['clip_high']:.4g}"
    return (
        f"<figure><figcaption>{escape(found['name'])}</figcaption>{drawing}"
        f"<p>seen {low:.4g} … {high:.4g}<br>{escape(kept)}<br>{found['outside']:.2%} outside</p></figure>"
    )
