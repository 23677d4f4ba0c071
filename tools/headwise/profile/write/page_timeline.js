// The timeline: one lane a worker, one slice a task. On a canvas, where 20,000 tasks are drawn in some milliseconds.

class Timeline {
  static LEFT = 84; // labels of the lanes
  static RIGHT = 62; // share of its time that a worker was busy
  static TOP = 46; // time axis and loops

  constructor(run, heads) {
    this.run = run;
    this.heads = heads; // first head -> index of its looks
    this.lanes = run.workers.map(({ worker }) => run.tasks.filter((task) => task.worker === worker).sort((a, b) => a.start_us - b.start_us));
    this.end = Math.max(range(run.tasks.map((task) => task.end_us))[1], range(run.loops.map((loop) => loop.end_us))[1], 1e-3);
    this.view = [0, this.end];
    this.lit = null; // the head that is pointed at in the legend
    this.plotWidth = 50; // until it is drawn
    this.pinned = null; // the head that was chosen there
    this.selected = null; // [lane, position]
    this.laneHeight = Math.max(8, Math.min(34, Math.floor(640 / Math.max(1, this.lanes.length))));
    const label = `Timeline of ${plural(run.tasks.length, "task")} on ${plural(this.lanes.length, "worker")} over ${duration(this.end)}. ` +
      "The tables of heads and workers below have the totals.";
    const { canvas, redraw } = drawing(Timeline.TOP + this.lanes.length * this.laneHeight + 6, label, (context, width) => this.draw(context, width),
      { tabindex: 0, role: "application", "aria-roledescription": "timeline", class: "timeline" });
    this.canvas = canvas;
    this.redraw = redraw;
    this.selection = element("div", { class: "selection", hidden: true });
    this.announcement = element("div", { class: "announcement", role: "status" });
    this.listen();
  }

  section() {
    const button = (text, label, action) => element("button", { type: "button", "aria-label": label, title: label, onclick: action }, text);
    return element("section", { class: "card", "aria-labelledby": "timeline-title" },
      element("h2", { id: "timeline-title" }, "Timeline of workers"),
      element("div", { class: "bar" }, button("+", "Zoom in", () => this.zoom(0.5)), button("−", "Zoom out", () => this.zoom(2)),
        button("◀", "Earlier", () => this.pan(-0.25)), button("▶", "Later", () => this.pan(0.25)), button("All", "Show everything", () => this.show(0, this.end)),
        element("span", { class: "hint" }, "Drag to zoom, double-click for everything, Ctrl + wheel; keys: arrows go from task to task, + − 0 zoom")),
      element("div", { class: "drawing" }, this.canvas, this.selection), this.announcement, this.legend());
  }

  legend() {
    const most = 48;
    const chips = [...this.heads].slice(0, most).map(([head, { index, name }]) => {
      const sample = element("canvas", { width: 16, height: 16, "aria-hidden": "true" });
      const context = sample.getContext("2d");
      context.fillStyle = headFill(context, index);
      context.fillRect(0, 0, 16, 16);
      const light = (value) => () => ((this.lit = value), this.redraw());
      const pin = (event) => {
        this.pinned = this.pinned === head ? null : head;
        for (const chip of event.currentTarget.parentNode.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", String(chip === event.currentTarget && this.pinned === head));
        this.redraw();
      };
      return element("button", { type: "button", class: "chip", "aria-pressed": "false", onmouseenter: light(head), onmouseleave: light(null), onclick: pin }, sample, name);
    });
    const rest = this.heads.size - chips.length;
    return element("div", { class: "bar", role: "group", "aria-label": "Heads: choose one to see only its tasks" }, ...chips,
      rest > 0 ? element("span", {}, `and ${rest} more`) : null, element("span", { class: "hint" }, element("span", { class: "key hatched", "aria-hidden": "true" }), "idle"));
  }

  x(us) {
    return Timeline.LEFT + ((us - this.view[0]) / (this.view[1] - this.view[0])) * this.plotWidth;
  }
  time(x) {
    return this.view[0] + ((x - Timeline.LEFT) / this.plotWidth) * (this.view[1] - this.view[0]);
  }

  /** Shows the time from begin to end, moved into what there is; never less than a nanosecond. */
  show(begin, end) {
    const length = Math.min(this.end, Math.max(1e-3, end - begin));
    const start = Math.max(0, Math.min(begin, this.end - length));
    this.view = [start, start + length];
    tooltip.hide();
    this.redraw();
  }
  zoom(factor, around = (this.view[0] + this.view[1]) / 2) {
    this.show(around + (this.view[0] - around) * factor, around + (this.view[1] - around) * factor);
  }
  pan(share) {
    const step = share * (this.view[1] - this.view[0]);
    this.show(this.view[0] + step, this.view[1] + step);
  }

  draw(context, width) {
    this.plotWidth = Math.max(50, width - Timeline.LEFT - Timeline.RIGHT);
    const color = { text: themeColor("text"), muted: themeColor("muted"), grid: themeColor("grid"), idle: themeColor("idle"), edge: themeColor("edge"),
      dimmed: themeColor("dimmed") };
    const bottom = Timeline.TOP + this.lanes.length * this.laneHeight;
    context.clearRect(0, 0, width, bottom + 6);
    this.drawAxis(context, color, bottom);
    this.drawLoops(context, color);
    this.lanes.forEach((_, lane) => this.drawLaneLabels(context, color, lane));
    context.save();
    context.beginPath();
    context.rect(Timeline.LEFT, Timeline.TOP - 2, this.plotWidth, bottom + 6);
    context.clip();
    this.drawIdle(context, color);
    this.lanes.forEach((_, lane) => this.drawLane(context, color, lane));
    context.restore();
  }

  drawAxis(context, color, bottom) {
    const [unit, divisor] = this.end >= 1e7 ? ["s", 1e6] : this.end >= 1e4 ? ["ms", 1e3] : ["µs", 1];
    const { step, ticks } = niceTicks(this.view[0] / divisor, this.view[1] / divisor, this.plotWidth / 110);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    context.textAlign = "center";
    for (const tick of ticks) {
      const x = this.x(tick * divisor);
      context.fillStyle = color.grid;
      context.fillRect(x - 0.5, 16, 1, bottom - 16);
      context.fillStyle = color.muted;
      context.fillText(tick.toFixed(digits), x, 8);
    }
    context.textAlign = "right";
    context.fillText(unit, Timeline.LEFT - 8, 8);
  }

  drawLoops(context, color) {
    context.textAlign = "right";
    context.fillStyle = color.muted;
    context.fillText("loops", Timeline.LEFT - 8, 28);
    context.textAlign = "left";
    for (const loop of this.run.loops) {
      const [from, to] = [Math.max(Timeline.LEFT, this.x(loop.start_us)), Math.min(Timeline.LEFT + this.plotWidth, this.x(loop.end_us))];
      if (to <= from) continue;
      context.fillStyle = color.muted;
      context.fillRect(from, 36, to - from, 3);
      context.fillRect(from, 32, 1, 7);
      context.fillRect(to - 1, 32, 1, 7);
      if (context.measureText(loop.operation).width < to - from - 8) context.fillText(loop.operation, from + 5, 27);
    }
  }

  drawLaneLabels(context, color, lane) {
    const every = Math.ceil(14 / this.laneHeight);
    if (lane % every !== 0) return;
    const { worker, busy_us: busy, idle_us: idle } = this.run.workers[lane];
    const y = Timeline.TOP + (lane + 0.5) * this.laneHeight;
    context.fillStyle = color.text;
    context.textAlign = "right";
    context.fillText(`worker ${worker}`, Timeline.LEFT - 8, y);
    context.fillStyle = color.muted;
    context.fillText(percent(busy / (busy + idle)), Timeline.LEFT + this.plotWidth + Timeline.RIGHT - 2, y);
  }

  /** Hatches the lanes, on which the slices then lie. */
  drawIdle(context, color) {
    const height = this.laneHeight - (this.laneHeight > 12 ? 4 : 1);
    this.lanes.forEach((_, lane) => {
      context.save();
      context.beginPath();
      context.rect(this.x(0), Timeline.TOP + lane * this.laneHeight, this.x(this.end) - this.x(0), height);
      context.clip();
      context.strokeStyle = color.idle;
      context.lineWidth = 1;
      context.beginPath();
      const top = Timeline.TOP + lane * this.laneHeight;
      for (let x = Timeline.LEFT - height; x < Timeline.LEFT + this.plotWidth; x += 6) {
        context.moveTo(x, top + height);
        context.lineTo(x + height, top);
      }
      context.stroke();
      context.restore();
    });
  }

  drawLane(context, color, lane) {
    const top = Timeline.TOP + lane * this.laneHeight;
    const height = this.laneHeight - (this.laneHeight > 12 ? 4 : 1);
    const highlighted = this.lit ?? this.pinned;
    let filled = -Infinity; // the right edge of what is drawn: slices that end before it are below a pixel and are left out
    for (let position = this.firstEndingAfter(lane, this.view[0]); position < this.lanes[lane].length; position++) {
      const task = this.lanes[lane][position];
      if (task.start_us > this.view[1]) break;
      // Whole pixels: there is nothing to blend, which takes most of the time otherwise.
      const [from, to] = [Math.max(Math.round(this.x(task.start_us)), filled), Math.round(this.x(task.end_us))];
      if (to <= filled) continue;
      const size = Math.max(1, to - from);
      filled = from + size;
      const lit = highlighted === null || headKey(task) === highlighted;
      context.fillStyle = lit ? headFill(context, this.heads.get(headKey(task)).index, size < 8) : color.dimmed;
      context.fillRect(from, top, size, height);
      if (size >= 4) {
        context.fillStyle = color.edge;
        context.fillRect(filled - 1, top, 1, height);
      }
      if (height >= 12 && size > 12) this.drawSliceLabel(context, color, task, lit, from, size, top + height / 2);
    }
    const chosen = this.selected && this.selected[0] === lane ? this.lanes[lane][this.selected[1]] : null;
    if (chosen) {
      context.strokeStyle = color.text;
      context.lineWidth = 2;
      context.strokeRect(this.x(chosen.start_us), top, Math.max(2, this.x(chosen.end_us) - this.x(chosen.start_us)), height);
    }
  }

  drawSliceLabel(context, color, task, lit, from, size, y) {
    const visible = [Math.max(from, Timeline.LEFT), Math.min(from + size, Timeline.LEFT + this.plotWidth)];
    const text = [headName(task), isProduct(task) ? "" : headNumbers(task)].find((label) => context.measureText(label).width + 7 < visible[1] - visible[0]);
    if (!text) return;
    const x = (visible[0] + visible[1]) / 2;
    const half = context.measureText(text).width / 2 + 2;
    context.textAlign = "center";
    if (lit) {
      context.fillStyle = headFill(context, this.heads.get(headKey(task)).index, true);
      context.fillRect(x - half, y - 7, 2 * half, 14);
    }
    context.fillStyle = lit ? "#000000" : color.muted;
    context.fillText(text, x, y + 0.5);
  }

  /** Position in the lane of the first task that ends after `us`: bisection, as tasks of a lane do not overlap. */
  firstEndingAfter(lane, us) {
    let [low, high] = [0, this.lanes[lane].length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.lanes[lane][middle].end_us > us) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** [lane, position] of the task at a point of the canvas, or null; a slice can be missed by 2 pixels. */
  taskAt(x, y) {
    const lane = Math.floor((y - Timeline.TOP) / this.laneHeight);
    if (x < Timeline.LEFT || x > Timeline.LEFT + this.plotWidth || !this.lanes[lane]) return null;
    const position = this.firstEndingAfter(lane, this.time(x));
    const near = [position, position - 1].find((candidate) => {
      const task = this.lanes[lane][candidate];
      return task && this.x(task.start_us) - 2 <= x && x <= this.x(task.end_us) + 2;
    });
    return near === undefined ? null : [lane, near];
  }

  describe(task) {
    const [block, split] = isProduct(task) ? ["rows, block", "columns, block"] : ["query block", "key split"];
    return [["worker", `${task.worker}`], ["batch", `${task.batch}`], [block, `${task.row_block}`], [split, `${task.column_block}`], ["kernel", task.kernel],
      ["loop", this.run.loops[task.loop]?.operation ?? UNKNOWN], ["time", `${duration(task.end_us - task.start_us)}, from ${duration(task.start_us)}`],
      ["rate", `${figure(rate(task))} GF/s`]];
  }

  listen() {
    const canvas = this.canvas;
    let pressed = null;
    canvas.addEventListener("pointerdown", (event) => {
      pressed = event.offsetX;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => this.pointer(event, pressed));
    canvas.addEventListener("pointerup", (event) => {
      const [from, to] = [pressed, event.offsetX].sort((a, b) => a - b);
      this.selection.hidden = true;
      if (pressed !== null && to - from > 4) this.show(this.time(from), this.time(to));
      pressed = null;
    });
    canvas.addEventListener("pointercancel", () => {
      this.selection.hidden = true;
      pressed = null;
    });
    canvas.addEventListener("pointerleave", tooltip.hide);
    canvas.addEventListener("blur", tooltip.hide);
    canvas.addEventListener("dblclick", () => this.show(0, this.end));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.time(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  pointer(event, pressed) {
    if (pressed !== null && Math.abs(event.offsetX - pressed) > 4) {
      tooltip.hide();
      this.selection.hidden = false;
      this.selection.style.left = `${Math.min(pressed, event.offsetX)}px`;
      this.selection.style.width = `${Math.abs(event.offsetX - pressed)}px`;
      return;
    }
    const hit = this.taskAt(event.offsetX, event.offsetY);
    if (!hit) return tooltip.hide();
    const task = this.lanes[hit[0]][hit[1]];
    tooltip.show(headName(task), this.describe(task), event.clientX, event.clientY);
  }

  key(event) {
    const zooms = { "+": 0.5, "=": 0.5, "-": 2, "−": 2 };
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key in zooms) this.zoom(zooms[event.key]);
    else if (event.key === "0") this.show(0, this.end);
    else if (event.key === "Escape") (this.selected = null), tooltip.hide(), this.redraw();
    else if (event.key in moves) this.select(...moves[event.key]);
    else return;
    event.preventDefault();
  }

  /** Goes from the selected task to one `lanes` down or `steps` later, and shows it. */
  select(lanes, steps) {
    const [lane, position] = this.selected ?? [0, -steps];
    const next = Math.max(0, Math.min(this.lanes.length - 1, lane + lanes));
    const from = this.lanes[lane][position];
    const moved = next === lane ? position + steps : this.firstEndingAfter(next, from ? from.start_us : 0);
    if (this.lanes[next].length === 0) return;
    this.selected = [next, Math.max(0, Math.min(this.lanes[next].length - 1, moved))];
    const task = this.lanes[next][this.selected[1]];
    if (task.start_us < this.view[0] || task.end_us > this.view[1]) {
      const half = (this.view[1] - this.view[0]) / 2;
      this.show((task.start_us + task.end_us) / 2 - half, (task.start_us + task.end_us) / 2 + half);
    }
    this.redraw();
    const box = this.canvas.getBoundingClientRect();
    const rows = this.describe(task);
    tooltip.show(headName(task), rows, box.left + this.x(task.end_us), box.top + Timeline.TOP + (next + 1) * this.laneHeight);
    this.announcement.textContent = `${headName(task)}; ${rows.map(([name, value]) => `${name} ${value}`).join("; ")}`;
  }
}
