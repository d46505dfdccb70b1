"""Markdown tables of ratios and figures; the same text in the terminal and in the page."""

from __future__ import annotations

from collections.abc import Sequence

from results import Comparison, Results, geometric_mean


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, to be read unrendered too; the first is text, the rest are figures."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join([cells[0].ljust(widths[0]), *rest])} |" if first else ""

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([line(heads), f"|{rule}|", *map(line, rows)]) + "\n"


def ms(value: float | None) -> str:
    """Three figures."""
    if value is None:
        return "–"
    places = next((n for limit, n in ((100, 0), (10, 1), (1, 2), (0.1, 3)) if value >= limit), 4)
    return f"{value:.{places}f}"


def times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def comparison_table(results: Results, comparison: Comparison) -> str:
    """Both sides' milliseconds and how many times longer the peer takes."""
    heads = ["network"]
    for ours, theirs in comparison.forms:
        what = {"any": "peer's best", "f32": "peer f32", "int8": "peer int8"}[theirs]
        heads += [f"ours {ours}, ms", f"{what}, ms", "ratio"]
    names = [facts.name for facts in results.networks]
    rows = []
    for name in names:
        row = [name]
        for form in comparison.forms:
            row.append(ms(comparison.our_milliseconds(results, name, form[0])))
            row.append(ms(results.milliseconds(comparison.peer, name, form[1])))
            row.append(times(comparison.ratio(results, name, form)))
        rows.append(row)
    means = ["geometric mean"]
    for form in comparison.forms:
        ratios = (comparison.ratio(results, name, form) for name in names)
        means += ["", "", f"**{times(geometric_mean(ratios))}**"]
    return table(heads, [*rows, means])
