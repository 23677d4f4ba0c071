// The heat map and the charts: what the workers did for each head, how the time scales, and how near to the machine's limits it is.

/** Head by worker, the time spent: an array of columns [{name, times by lane}]. Batches are added up where there are many. */
function heatColumns(run) {
  const tasks = run.tasks.filter((task) => !isProduct(task));
  const perBatch = new Set(tasks.map((task) => `${task.batch} ${task.head}`)).size <= 48;
  const batches = new Set(tasks.map((task) => task.batch)).size;
  const lanes = new Map(run.workers.map(({ worker }, lane) => [worker, lane]));
  const columns = new Map();
  for (const task of tasks.sort((a, b) => a.batch - b.batch || a.head - b.head)) {
    const key = perBatch ? `${task.batch} ${task.head}` : `${task.head}`;
    if (!columns.has(key)) {
      const batch = perBatch && batches > 1 ? `batch ${task.batch}, ` : "";
      columns.set(key, { name: batch + headName(task), short: (batch ? `${task.batch}:` : "") + headNumbers(task), head: task.head, times: run.workers.map(() => 0) });
    }
    columns.get(key).times[lanes.get(task.worker)] += task.end_us - task.start_us;
  }
  return [...columns.values()].sort((a, b) => (perBatch ? 0 : a.head - b.head));
}

const mix = (low, high, share) => low.map((value, i) => Math.round(value + (high[i] - value) * share));

function heatMap(run) {
  const columns = heatColumns(run);
  const [left, top] = [84, 22];
  const rowHeight = Math.max(8, Math.min(30, Math.floor(480 / Math.max(1, run.workers.length))));
  const largest = Math.max(1e-9, range(columns.flatMap((column) => column.times))[1]);
  const [unit, divisor] = largest >= 1e4 ? ["Milliseconds", 1e3] : ["Microseconds", 1];
  const cellWidth = (width) => (width - left - 1) / Math.max(1, columns.length);
  const label = `Time by head and worker: ${plural(columns.length, "head")} on ${plural(run.workers.length, "worker")}, at most ${duration(largest)} in one cell. ` +
    "The table of heads below has the totals.";
  const { canvas } = drawing(top + run.workers.length * rowHeight + 2, label, (context, width) => {
    const [low, middle, high] = ["heat-low", "heat-middle", "heat-high"].map((name) => themeColor(name).split(" ").map(Number));
    const cell = cellWidth(width);
    const gap = cell > 8 ? 2 : 0;
    context.clearRect(0, 0, width, canvas.height);
    context.textAlign = "center";
    context.fillStyle = themeColor("muted");
    const labelWidth = range(columns.map((column) => context.measureText(column.short).width))[1] + 8;
    const every = Math.ceil(labelWidth / cell);
    columns.forEach((column, i) => i % every === 0 && context.fillText(column.short, left + (i + 0.5) * cell, 10));
    context.textAlign = "right";
    context.fillText("head", left - 8, 10);
    run.workers.forEach(({ worker }, lane) => {
      const y = top + lane * rowHeight;
      context.textAlign = "right";
      context.fillStyle = themeColor("text");
      if (lane % Math.ceil(14 / rowHeight) === 0) context.fillText(`worker ${worker}`, left - 8, y + rowHeight / 2);
      context.textAlign = "center";
      columns.forEach((column, i) => {
        const share = column.times[lane] / largest;
        const rgb = share < 0.5 ? mix(low, middle, 2 * share) : mix(middle, high, 2 * share - 1);
        context.fillStyle = share > 0 ? `rgb(${rgb.join(" ")})` : themeColor("page");
        context.fillRect(left + i * cell, y, cell - gap, rowHeight - (rowHeight > 12 ? 2 : 0));
        const text = share > 0 ? figure(column.times[lane] / divisor) : "·";
        if (rowHeight < 14 || context.measureText(text).width + 6 > cell) return;
        context.fillStyle = share === 0 ? themeColor("muted") : luminance(rgb) > 0.18 ? "#000000" : "#ffffff";
        context.fillText(text, left + (i + 0.5) * cell - gap / 2, y + rowHeight / 2);
      });
    });
  });
  canvas.addEventListener("pointermove", (event) => {
    const column = columns[Math.floor((event.offsetX - left) / cellWidth(canvas.clientWidth))];
    const lane = Math.floor((event.offsetY - top) / rowHeight);
    if (!column || !run.workers[lane]) return tooltip.hide();
    const all = column.times.reduce((sum, time) => sum + time, 0);
    tooltip.show(column.name, [["worker", `${run.workers[lane].worker}`], ["time", duration(column.times[lane])], ["of this head", percent(column.times[lane] / all)]],
      event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", tooltip.hide);
  return element("section", { class: "card", "aria-labelledby": "heat-title" }, element("h2", { id: "heat-title" }, "Time by head and worker"),
    element("div", { class: "drawing" }, canvas),
    element("p", { class: "hint" }, `${unit}. 0`, element("span", { class: "scale", "aria-hidden": "true" }), `${duration(largest)}; a dot: the worker did nothing for this head`));
}

/** Relative luminance as WCAG defines it; black text has the better contrast above 0.18. */
function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Axes of a chart. x, y: {log, domain, ticks: [[value, text]], label, minor}; returns the svg and the positions of values. */
function axes(label, x, y) {
  const [width, height, left, right, top, bottom] = [560, 310, 62, 18, 12, 46];
  const place = ({ log, domain: [low, high] }, begin, end) => (value) =>
    begin + ((log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)) * (end - begin));
  const px = place(x, left, width - right);
  const py = place(y, height - bottom, top);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, svg("title", {}, label));
  for (const [value, text] of x.ticks) {
    root.append(svg("line", { class: "gridline", x1: px(value), x2: px(value), y1: top, y2: height - bottom }),
      svg("text", { x: px(value), y: height - bottom + 17, "text-anchor": "middle" }, text));
  }
  for (const [value, text] of y.ticks) {
    root.append(svg("line", { class: "gridline", x1: left, x2: width - right, y1: py(value), y2: py(value) }),
      svg("text", { x: left - 8, y: py(value) + 4, "text-anchor": "end" }, text));
  }
  const [middle, centre] = [(left + width - right) / 2, (top + height - bottom) / 2];
  root.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    svg("text", { x: middle, y: height - 8, "text-anchor": "middle" }, x.label),
    svg("text", { transform: `translate(14 ${centre}) rotate(-90)`, "text-anchor": "middle" }, y.label));
  return { root, px, py };
}

const path = (points) => `M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;

/** A marker whose form, not its colour alone, tells the series. */
function marker(index, x, y, title, size = 5) {
  const corners = [null, [[-1, -1], [1, -1], [1, 1], [-1, 1]], [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]], [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]]][index % 4];
  const attributes = { class: `point series-${index % 4}` };
  const shape = corners ? svg("path", { ...attributes, d: `${path(corners.map(([dx, dy]) => [x + dx * size, y + dy * size]))}Z` })
    : svg("circle", { ...attributes, cx: x, cy: y, r: size });
  if (title) shape.append(svg("title", {}, title));
  return shape;
}

/** [{name, index, curve, points}]: per schedule what a simulation foretells and what runs of the same case measured. */
function scalingSeries(run, runs) {
  const measured = runs.filter((other) => other.case === run.case && known(other.metrics.parallel_efficiency));
  const names = [...new Set([...run.what_if.map((point) => point.schedule), ...measured.map((other) => other.schedule)])];
  return names.map((name, index) => ({
    name, index,
    curve: run.what_if.filter((point) => point.schedule === name && known(point.parallel_efficiency)).sort((a, b) => a.workers - b.workers)
      .map((point) => ({ workers: point.workers, efficiency: point.parallel_efficiency })),
    points: measured.filter((other) => other.schedule === name)
      .map((other) => ({ workers: other.threads, efficiency: other.metrics.parallel_efficiency, speedup: other.metrics.speedup, chosen: other === run })),
  }));
}

function scalingChart(series, label, value, text, y) {
  const most = Math.max(16, range(series.flatMap(({ curve, points }) => [...curve, ...points].map((point) => point.workers)))[1]);
  const powers = Array.from({ length: Math.ceil(Math.log2(most)) + 1 }, (_, i) => 2 ** i);
  const x = { log: true, domain: [1, powers.at(-1)], ticks: powers.map((power) => [power, `${power}`]), label: "workers" };
  const { root, px, py } = axes(label, x, y(powers));
  const ideal = [1, powers.at(-1)].map((workers) => [px(workers), py(value({ workers, efficiency: 1 }))]);
  root.append(svg("path", { class: "ideal", d: path(ideal) }));
  for (const { index, curve } of series) {
    if (curve.length) root.append(svg("path", { class: `curve series-${index % 4}`, d: path(curve.map((point) => [px(point.workers), py(value(point))])) }));
  }
  for (const { index, name, points } of series) {
    for (const point of points) {
      const [left, top] = [px(point.workers), py(value(point))];
      root.append(marker(index, left, top, `${name}, measured on ${plural(point.workers, "worker")}: ${text(value(point))}`));
      if (point.chosen) root.append(svg("circle", { class: "ring", cx: left, cy: top, r: 9.5 }));
    }
  }
  return root;
}

function scalingLegend(series) {
  const entries = series.map(({ name, index, curve, points }) => element("span", {},
    svg("svg", { viewBox: "0 0 30 12", "aria-hidden": "true" }, curve.length ? svg("path", { class: `curve series-${index % 4}`, d: "M0 6H30" }) : null,
      points.length ? marker(index, 15, 6, null, 4.5) : null),
    name + (curve.length ? "" : " (measured)")));
  return element("div", { class: "legend" }, ...entries,
    element("span", {}, svg("svg", { viewBox: "0 0 30 12", "aria-hidden": "true" }, svg("path", { class: "ideal", d: "M0 6H30" })), "ideal"),
    element("span", {}, svg("svg", { viewBox: "0 0 30 20", "aria-hidden": "true" }, svg("circle", { class: "ring", cx: 15, cy: 10, r: 8 })), "this run"));
}

function scaling(run, runs) {
  const series = scalingSeries(run, runs);
  if (series.length === 0) return null;
  const last = series.filter(({ curve }) => curve.length).map(({ name, curve }) => `${name} ${percent(curve.at(-1).efficiency)}`).join(", ");
  const speedup = scalingChart(series, "Speed-up by number of workers. Its figures are in the table below.", (point) => point.speedup ?? point.workers * point.efficiency,
    times, (powers) => ({ log: true, domain: [0.9, powers.at(-1) * 1.1], ticks: powers.map((power) => [power, `${power}×`]), label: "speed-up" }));
  const efficiency = scalingChart(series, `Parallel efficiency by number of workers. Predicted for the most workers: ${last || UNKNOWN}.`, (point) => Math.min(1.1, point.efficiency),
    percent, () => ({ domain: [0, 1.1], ticks: [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => [share, `${100 * share} %`]), label: "parallel efficiency" }));
  const rows = series.flatMap(({ name, curve, points }) => [...curve.map((point) => [name, "predicted", point]), ...points.map((point) => [name, "measured", point])]);
  return element("section", { class: "card", "aria-labelledby": "scaling-title" }, element("h2", { id: "scaling-title" }, "What more workers would do"),
    element("p", { class: "hint" }, "Lines: predicted by simulating the measured tasks on that many workers. Points: measured runs of the same case."), scalingLegend(series),
    element("div", { class: "columns" }, element("figure", { id: "speedup" }, speedup), element("figure", { id: "efficiency" }, efficiency)),
    element("details", {}, element("summary", {}, "The figures as a table"), element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Figures of the curves" },
      table([["schedule", "text"], ["", "text"], ["workers"], ["speed-up"], ["efficiency"]],
        rows.map(([name, kind, point]) => [name, kind, `${point.workers}`, times(point.speedup ?? point.workers * point.efficiency), percent(point.efficiency)])))));
}

/** 1, 2 and 5 times the powers of ten from the last below `low` to the first above `high`; the powers alone over more than three decades. */
function logTicks(low, high) {
  const factors = high / low > 2000 ? [1] : [1, 2, 5];
  const all = range([Math.log10(low), Math.log10(high)]).map(Math.floor);
  const ticks = [];
  for (let power = all[0]; power <= all[1] + 1; power++) ticks.push(...factors.map((factor) => factor * 10 ** power));
  return ticks.slice(ticks.findLastIndex((tick) => tick <= low), ticks.findIndex((tick) => tick >= high) + 1);
}

function roofline({ roofline: roof, threads }) {
  if (!roof || ![roof.intensity, roof.gflops, roof.fma_gflops, roof.read_gb_per_s].every((value) => known(value) && value > 0)) return null;
  const ridge = roof.fma_gflops / roof.read_gb_per_s;
  const limit = Math.min(roof.fma_gflops, roof.intensity * roof.read_gb_per_s);
  const xs = logTicks(Math.min(ridge, roof.intensity) / 3, Math.max(ridge, roof.intensity) * 3);
  const ys = logTicks(Math.min(roof.gflops, xs[0] * roof.read_gb_per_s) / 1.5, roof.fma_gflops * 1.5);
  const text = (value) => [value, `${+value.toPrecision(1)}`];
  const label = `Roofline: ${figure(roof.gflops)} GF/s at ${figure(roof.intensity)} flops a byte, ${percent(roof.gflops / limit)} of the ${figure(limit)} GF/s that ` +
    `${roof.fma_gflops > limit ? "reading" : "multiply-adds"} would allow`;
  const { root, px, py } = axes(label, { log: true, domain: [xs[0], xs.at(-1)], ticks: xs.map(text), label: "flops a byte" },
    { log: true, domain: [ys[0], ys.at(-1)], ticks: ys.map(text), label: "GF/s" });
  const corner = [px(ridge), py(roof.fma_gflops)];
  const slope = (Math.atan2(corner[1] - py(xs[0] * roof.read_gb_per_s), corner[0] - px(xs[0])) * 180) / Math.PI;
  const along = Math.sqrt(xs[0] * ridge);
  const [x, y] = [px(roof.intensity), py(roof.gflops)];
  const notes = [`this run: ${figure(roof.gflops)} GF/s`, `${percent(roof.gflops / limit)} of the roof`];
  const noteX = Math.min(x + 12, 540 - 7.2 * Math.max(...notes.map((note) => note.length)));
  root.append(svg("path", { class: "curve series-0", d: path([[px(xs[0]), py(xs[0] * roof.read_gb_per_s)], corner, [px(xs.at(-1)), corner[1]]]) }),
    svg("text", { x: 540, y: corner[1] - 8, "text-anchor": "end" }, `multiply-adds, measured: ${figure(roof.fma_gflops)} GF/s`),
    svg("text", { transform: `translate(${px(along)} ${py(along * roof.read_gb_per_s)}) rotate(${slope})`, y: -8, "text-anchor": "middle" },
      `reading: ${figure(roof.read_gb_per_s)} GB/s`),
    svg("line", { class: "ideal", x1: x, x2: x, y1: y, y2: py(limit) }), marker(1, x, y, label, 6),
    ...notes.map((note, line) => svg("text", { class: "strong halo", x: noteX, y: y + 22 + 16 * line }, note)));
  return element("section", { class: "card", "aria-labelledby": "roofline-title" }, element("h2", { id: "roofline-title" }, "Roofline"),
    element("p", { class: "hint" }, `Bound by ${roof.bound}. The roofs were measured beside this run on ${plural(threads, "thread")}.`), element("figure", { id: "roofline" }, root));
}
