#!/usr/bin/env python3
"""Draws the timelines of `headwise profile`: plot_profile.py FILE|- OUT.png|OUT.svg

For each run one lane a worker, and in it a bar a task, with the colour, the hatching and, where there is room, the number of its head.
"""
import figure_file

# The colours of the page, tools/headwise/profile/write/page_elements.js: Paul Tol's "light" scheme, on which black text can be read.
HEAD_COLORS = ("#77aadd", "#ee8866", "#44bb99", "#eedd88", "#ffaabb", "#99ddff", "#bbcc33", "#c9a0dc")
HATCHES = ("", "////", "...", "\\\\\\\\")
PRODUCT_COLOR = "#bfc5cc"
MOST_LEGEND_ENTRIES = 36


def head_key(task):
    """Sorts by the first head, products behind all heads."""
    return (1, 0, 0) if task["kernel"] == "matmul" else (0, task["head"], task["heads"])


def head_numbers(key):
    product, head, heads = key
    return "" if product else f"{head}" if heads == 1 else f"{head}–{head + heads - 1}"


def head_name(key):
    return "product" if key[0] else f"head{'s' if key[2] > 1 else ''} {head_numbers(key)}"


def rectangle(task, lane, divisor):
    left, right = task["start_us"] / divisor, task["end_us"] / divisor
    return [(left, lane - 0.42), (right, lane - 0.42), (right, lane + 0.42), (left, lane + 0.42)]


def look(key, index, hatched=True):
    if key[0]:
        return {"facecolor": PRODUCT_COLOR}
    return {"facecolor": HEAD_COLORS[index % len(HEAD_COLORS)], "hatch": HATCHES[index // len(HEAD_COLORS) % len(HATCHES)] if hatched else ""}


def shown_unit(end_us):
    """Name, and how many microseconds it has."""
    return ("s", 1e6) if end_us >= 1e7 else ("ms", 1e3) if end_us >= 1e4 else ("µs", 1)


def draw_run(axis, run, width_points):
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    lanes = {worker["worker"]: lane for lane, worker in enumerate(run["workers"])}
    end = max([span["end_us"] for span in run["loops"] + run["tasks"]], default=1)
    unit, divisor = shown_unit(end)
    by_head = {}
    for task in run["tasks"]:
        by_head.setdefault(head_key(task), []).append(task)
    handles = []
    for index, key in enumerate(sorted(by_head)):
        # Edges and hatches would hide slices thinner than some points, and take long to draw.
        points = [(task["end_us"] - task["start_us"]) / end * width_points for task in by_head[key]]
        for wide in (False, True):
            rectangles = [rectangle(task, lanes[task["worker"]], divisor) for task, size in zip(by_head[key], points) if (size > 8) == wide]
            axis.add_collection(PolyCollection(rectangles, edgecolor="#00000080", linewidth=0.4 * wide, **look(key, index, wide)))
        handles.append((Patch(edgecolor="#00000080", linewidth=0.4, **look(key, index)), head_name(key)))
        text = head_numbers(key)
        for task, size in zip(by_head[key], points):
            if size > 6 * len(text) + 4 and len(lanes) <= 24:
                axis.text((task["start_us"] + task["end_us"]) / 2 / divisor, lanes[task["worker"]], text, ha="center", va="center", fontsize=7,
                          bbox={"boxstyle": "square,pad=0.1", "facecolor": look(key, index)["facecolor"], "edgecolor": "none"})
    every = -(-len(lanes) // 32)
    axis.set_yticks(range(0, len(lanes), every), [f"worker {worker['worker']}" for worker in run["workers"][::every]])
    axis.set_ylim(len(lanes) - 0.5, -0.5)
    axis.set_xlim(0, end / divisor)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(unit)
    axis.set_facecolor("#f0f2f4")
    threads = f"{run['threads']} thread" + ("" if run["threads"] == 1 else "s")
    efficiency = run["metrics"].get("parallel_efficiency")
    note = "" if efficiency is None else f", parallel efficiency {100 * efficiency:.1f} %"
    disturbed = ", disturbed by others" if run.get("disturbed") else ""
    axis.set_title(f"{figure_file.printable(run['case'])}\n{run['schedule']}, {threads}, {1e3 * run['seconds']:.3g} ms{note}{disturbed}; what is not covered is idle", loc="left", fontsize=9)
    shown = handles[:MOST_LEGEND_ENTRIES]
    title = None if len(shown) == len(handles) else f"and {len(handles) - len(shown)} more"
    axis.legend([patch for patch, _ in shown], [name for _, name in shown], loc="upper left", bbox_to_anchor=(1, 1.02), frameon=False, fontsize=7,
                ncols=1 + len(shown) // 19, title=title, title_fontsize=7)


def draw(profile, path):
    figure_file.start_matplotlib()
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.rcParams["hatch.linewidth"] = 0.6
    runs = profile["runs"]
    # 2 inches hold a legend of 12 heads; from 6 workers on the lanes need more.
    heights = [max(2.4, 0.9 + min(0.3 * len(run["workers"]), 9)) for run in runs]
    figure, axes = plt.subplots(len(runs), 1, figsize=(13, sum(heights) + 0.4), height_ratios=heights, layout="constrained", squeeze=False)
    for axis, run in zip(axes[:, 0], runs):
        draw_run(axis, run, width_points=11 * 72)
    machine = profile["machine"]
    figure.suptitle(f"headwise on {machine['cpu']}, {machine['isa']}", fontsize=10)
    figure_file.save(figure, path)


if __name__ == "__main__":
    figure_file.main(lambda path: figure_file.load(path, "headwise.profile/1", "runs", "headwise profile --json"), draw)
