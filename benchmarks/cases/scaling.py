from __future__ import annotations

from benchmarks.cases import CORES, Case, Options
from benchmarks.rows import Row


def _plot(rows: list[Row], options: Options) -> None:
    try:
        import matplotlib
    except ImportError:
        options.console.print("plot skipped: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    measured = [row for row in rows if row.seconds and not row.wrong]
    if not measured:
        options.console.print("plot skipped: nothing was measured")
        return
    figure, axes = pyplot.subplots(1, 3, figsize=(17, 5), layout="constrained")
    most = max(row.workers for row in measured)
    base_rows, base_columns = (_most_frequent([getattr(r, k) for r in measured]) for k in ("rows", "columns"))
    tallest = max(measured, key=lambda row: row.rows * row.columns**2)
    for axis, along, fixed in (
        (axes[0], "rows", {"columns": base_columns, "workers": most}),
        (axes[1], "columns", {"rows": base_rows, "workers": most}),
        (axes[2], "workers", {"rows": tallest.rows, "columns": tallest.columns}),
    ):
        _lines(axis, measured, along, fixed)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    figure.savefig(options.plot, dpi=120)
    options.console.print(f"plot: {options.plot}")


def _most_frequent(values: list[int]) -> int:
    return max(sorted(set(values)), key=values.count)


def _lines(axis, rows: list[Row], along: str, fixed: dict[str, int]) -> None:
    chosen = [row for row in rows if all(getattr(row, key) == value for key, value in fixed.items())]
    for contender in dict.fromkeys(row.contender for row in rows):
        line = sorted((getattr(row, along), row.median) for row in chosen if row.contender == contender)
        style = "--" if contender.startswith("limit") else "o-"
        axis.plot(*zip(*line, strict=True) if line else ([], []), style, label=contender)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=along,
        ylabel="seconds",
        title=", ".join(f"{value:,} {key}" for key, value in fixed.items()),
    )


CASE = Case(
    "Time along rows, columns and workers, with a plot.",
    rows=(10_000, 100_000, 1_000_000, 10_000_000),
    columns=(16, 64, 256, 1024, 4096, 8192),
    smallest=((500, 5_000), (16,)),
    workers=tuple(n for n in (1, 2, 4) if n <= CORES),
    finish=_plot,
)
