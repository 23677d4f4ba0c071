#!/usr/bin/env python3
"""Draws the figures of `headwise compare --json FILE`: plot_compare.py FILE|- OUT.png|OUT.svg

Left: each case's share of what the machine can do (multiply-adds, or reading memory where that is the limit). Right: GF/s of the naive
scalar loops and of the engine, on a logarithmic scale.
"""
import figure_file

COLORS = {"multiply-add": ("#9dc3e6", "#2f6db3", "#163e6b"), "reading": ("#f6c08a", "#d9772b", "#8c4510")}
LABELS = {"multiply-add": "of the FMA peak", "reading": "of the read bandwidth"}


def shade(bound, index, count):
    """Darker for more threads; the middle shade where there is but one count."""
    shades = COLORS[bound]
    return shades[1] if count == 1 else shades[min(index, 2)]


def threads_text(count):
    return f"{count} thread" + ("" if count == 1 else "s")


def draw(comparison, path):
    figure_file.start_matplotlib()
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    results = comparison["results"]
    cases = list(dict.fromkeys(result["case"] for result in results))
    counts = sorted({result["threads"] for result in results})
    height = 0.8 / len(counts)
    # 0.22 inches for a bar, so that the figures beside the bars do not touch; 0.5 for the key below.
    bars = 1 + 0.22 * len(cases) * (len(counts) + 0.4)
    figure = plt.figure(figsize=(12, bars + 0.5), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 2), height_ratios=(bars, 0.5))
    shares = figure.add_subplot(grid[0, 0])
    rates = figure.add_subplot(grid[0, 1], sharey=shares)
    key = figure.add_subplot(grid[1, :])
    key.axis("off")
    bounds_seen = []
    for result in results:
        index = counts.index(result["threads"])
        y = cases.index(result["case"]) + (index - (len(counts) - 1) / 2) * height
        bound = result.get("bound", "multiply-add")
        bounds_seen.append((bound, index))
        color = shade(bound, index, len(counts))
        fraction = 100 * (result["peak_fraction"] if result["peak_fraction"] is not None else result["bandwidth_fraction"])
        low, _, high = (100 * value for value in result.get("fraction_quartiles", [fraction / 100] * 3))
        shares.barh(y, fraction, height * 0.94, color=color)
        shares.plot([low, high], [y, y], color="black", linewidth=1)
        shares.annotate(f"{fraction:.1f} %", (max(fraction, high), y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
        rates.barh(y, result["gflops"], height * 0.94, color=color)
        note = f"{result['gflops']:.3g}"
        if result.get("speedup"):
            note += f"  ({result['speedup']:.3g}x)"
            # The naive rate as a line through the bars: they begin, in effect, there.
            rates.plot([result["naive_gflops"]] * 2, [y - height * 0.47, y + height * 0.47], color="black", linewidth=2)
        rates.annotate(note, (result["gflops"], y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)

    shares.set_yticks(range(len(cases)), cases)
    shares.set_ylim(len(cases) - 0.5, -0.5)
    rates.tick_params(labelleft=False)
    shares.set_xlim(0, 112)
    shares.axvline(100, color="black", linewidth=0.8, linestyle=":")
    shares.set_xlabel("% of the peak measured beside each case (line: quartiles of the rounds)")
    rates.set_xscale("log")
    rates.set_xlim(right=6 * max(result["gflops"] for result in results))
    rates.xaxis.set_major_formatter("{x:g}")
    rates.set_xlabel("GF/s (times naive; black mark: naive)")
    for axis in (shares, rates):
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(axis="y", length=0)

    keys = [Patch(color=shade(bound, index, len(counts)), label=f"{threads_text(counts[index])}, {LABELS[bound]}")
            for bound in COLORS for index in range(len(counts)) if (bound, index) in bounds_seen]
    machine = comparison["machine"]
    peaks = "; ".join(f"{threads_text(int(count))}: {peak:.0f} GF/s, {machine['read_bandwidth_gbs'][count]:.0f} GB/s"
                      for count, peak in machine["fma_peak_gflops"].items())
    figure.suptitle(f"headwise on {machine['cpu']}, {machine['isa']}, f32   (peaks: {peaks})", fontsize=10)
    key.legend(handles=keys, loc="center", ncols=2 if len(keys) == 4 else 3, frameon=False)
    figure_file.save(figure, path)


if __name__ == "__main__":
    figure_file.main(lambda path: figure_file.load(path, "headwise.compare/1", "results", "headwise compare --json"), draw)
