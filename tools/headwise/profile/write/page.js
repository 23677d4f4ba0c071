// The page: reads the profile that stands in it, and shows one run at a time.

const profile = JSON.parse(document.getElementById("profile").textContent);

/** Tasks of one first head look alike; products have looks of their own. */
const headKey = (task) => (isProduct(task) ? "product" : task.head);

/** first head -> {index of its looks, name}, in the order of heads, products last. */
function headLooks(tasks) {
  const names = new Map(tasks.map((task) => [headKey(task), headName(task)]));
  const heads = [...names.keys()].filter((key) => key !== "product").sort((a, b) => a - b);
  const looks = new Map(heads.map((head, index) => [head, { index, name: names.get(head) }]));
  if (names.has("product")) looks.set("product", { index: -1, name: "product" });
  return looks;
}

/** columns: [title, class]; rows: arrays of text or elements. */
function table(columns, rows, rowClass = () => null) {
  const cells = (row) => row.map((cell, i) => element("td", { class: columns[i][1] }, cell));
  return element("table", {}, element("thead", {}, element("tr", {}, ...columns.map(([title, kind]) => element("th", { scope: "col", class: kind }, title)))),
    element("tbody", {}, ...rows.map((row, i) => element("tr", { class: rowClass(i) }, ...cells(row)))));
}

/** A bar of parts [share, class]; the text beside it says the same. */
function meter(...parts) {
  const bar = element("div", { class: "meter", "aria-hidden": "true" });
  for (const [share, kind] of parts) {
    const part = element("span", { class: kind });
    part.style.width = `${100 * Math.max(0, Math.min(1, known(share) ? share : 0))}%`;
    bar.append(part);
  }
  return bar;
}

function diagnosis(run) {
  const lines = [...run.diagnosis];
  if (run.disturbed) lines.unshift(`Disturbed: other programs, or a slower core, cost at least ${percent(run.disturbance)} of worker time${run.attempts > 1 ? `. This is the least disturbed of ${plural(run.attempts, "measurement")}` : ""}.`);
  else if (run.attempts > 1) lines.push(`This is the least disturbed of ${plural(run.attempts, "measurement")} of the case.`);
  if (run.dropped > 0) lines.push(`${plural(run.dropped, "record")} did not fit into the buffer: timeline, heads and workers are incomplete.`);
  return lines.length === 0 ? null : element("section", { class: "card diagnosis", "aria-labelledby": "diagnosis-title" },
    element("h2", { id: "diagnosis-title" }, "Diagnosis"), element("ul", {}, ...lines.map((line) => element("li", {}, line))));
}

function headline({ seconds, repeats, threads, metrics, roofline: roof }) {
  const tiles = [["Time", duration(seconds * 1e6), `median of ${plural(repeats, "repetition")}`],
    ["Rate", `${figure(roof?.gflops)} GF/s`, known(roof?.fma_gflops) ? `${percent(roof.gflops / roof.fma_gflops)} of ${figure(roof.fma_gflops)} GF/s` : ""],
    ["Speed-up", times(metrics.speedup), `on ${plural(threads, "thread")}`],
    ["Parallel efficiency", percent(metrics.parallel_efficiency), known(metrics.karp_flatt) ? `Karp–Flatt ${percent(metrics.karp_flatt)}` : "Karp–Flatt –"],
    ["Load balance", percent(metrics.load_balance), "busy: mean ÷ longest"],
    ["Bound by", roof?.bound ?? UNKNOWN, `${figure(roof?.intensity)} flops a byte`]];
  return element("dl", { class: "tiles" }, ...tiles.map(([name, value, note]) =>
    element("div", {}, element("dt", {}, name), element("dd", { class: "figure" }, value), element("dd", { class: "note" }, note))));
}

// The product of the indented factors is the one above them: after the metrics of the POP project.
const EFFICIENCIES = [[0, "global_efficiency", "Global efficiency", ""], [1, "parallel_efficiency", "Parallel efficiency", "workers' time in tasks"],
  [2, "load_balance", "Load balance", "busy: mean ÷ longest"], [2, "communication_efficiency", "Communication", "longest busy ÷ all time"],
  [3, "serialization_efficiency", "Serialization", "waiting for others"], [3, "transfer_efficiency", "Transfer", "waking, handing over"],
  [1, "computation_scaling", "Computation scaling", "busy: 1 thread ÷ these"], [2, "ipc_scaling", "Instructions a cycle", "these ÷ 1 thread"],
  [2, "frequency_scaling", "Clock", "these ÷ 1 thread"]];

function efficiencies({ metrics }) {
  const superlinear = metrics.computation_scaling >= 1.0005; // what is shown as more than 100 %
  const rows = EFFICIENCIES.map(([depth, key, name, meaning]) =>
    ["\u2003".repeat(depth) + name, element("span", { class: "hint" }, meaning), meter([metrics[key]]), known(metrics[key]) ? percent(metrics[key]) : "not measured"]);
  const counters = profile.machine.counters === "available" ? null : element("p", { class: "hint" }, `Hardware counters: ${profile.machine.counters}`);
  const tree = table([["factor", "text"], ["", "text wrap"], ["", "text"], ["", ""]], rows);
  tree.classList.add("tree");
  return element("section", { class: "card", id: "efficiencies", "aria-labelledby": "efficiencies-title" }, element("h2", { id: "efficiencies-title" }, "Where the efficiency goes"),
    element("p", { class: "hint" }, "Each is the product of those indented below it."), tree,
    superlinear ? element("p", { class: "hint" }, "Computation scaling is above 100 %: all tasks together took less time than on one thread. Global efficiency can then exceed 100 %, too.") : null, counters);
}

function headTable(run) {
  const longest = Math.max(1e-9, range(run.heads.map((head) => head.us))[1]);
  const rows = run.heads.map((head) => [`${head.batch}`, headNumbers(head), duration(head.us), meter([head.us / longest]), percent(head.share), figure(head.gflops),
    times(head.ratio_to_median), head.workers.length > 8 ? `${head.workers.length} workers` : head.workers.join(", ")]);
  return element("section", { class: "card", id: "heads", "aria-labelledby": "heads-title" }, element("h2", { id: "heads-title" }, "Heads"),
    element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of heads" },
      table([["batch"], ["head"], ["time"], ["", "text"], ["share"], ["GF/s"], ["to median"], ["workers", "text"]], rows)));
}

function workerTable(run) {
  const key = (kind, name) => [element("span", { class: `key ${kind}`, "aria-hidden": "true" }), name];
  const rows = run.workers.map((lane) => {
    const all = lane.busy_us + lane.idle_us;
    return [`${lane.worker}`, meter([lane.wake_up_us / all, "waking"], [lane.busy_us / all, ""], [lane.tail_us / all, "tail"]), percent(lane.busy_us / all), duration(lane.busy_us),
      duration(lane.idle_us), duration(lane.wake_up_us), duration(lane.tail_us), `${lane.tasks}`, `${lane.heads}`];
  });
  return element("section", { class: "card", id: "workers", "aria-labelledby": "workers-title" }, element("h2", { id: "workers-title" }, "Workers"),
    element("p", { class: "hint" }, ...key("waking", "waking up"), ...key("", "busy"), ...key("tail", "done, others are not"), ...key("idle", "between tasks")),
    element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of workers" },
      table([["worker"], ["", "text"], ["share"], ["busy"], ["idle"], ["wake-up"], ["tail"], ["tasks"], ["heads"]], rows)));
}

const side = (...parts) => element("div", { class: "columns" }, ...parts);

function show(index) {
  const run = profile.runs[index];
  tooltip.hide();
  document.getElementById("run").replaceChildren(element("h2", { class: "case" }, run.case),
    element("p", {}, `${run.operation}, schedule ${run.schedule}, ${plural(run.threads, "thread")}`), ...[diagnosis(run), headline(run),
      new Timeline(run, headLooks(run.tasks)).section(), run.tasks.some((task) => !isProduct(task)) ? heatMap(run) : null, scaling(run, profile.runs),
      side(roofline(run), efficiencies(run)), side(headTable(run), workerTable(run))].filter(Boolean));
  document.querySelectorAll("#runs tbody tr").forEach((row, i) => row.classList.toggle("chosen", i === index));
}

function runTable(chosen) {
  const rows = profile.runs.map((run, index) => {
    const input = element("input", { type: "radio", name: "run", value: index, checked: index === chosen, onchange: () => (location.hash = `run=${index + 1}`) });
    return [element("label", {}, input, ` ${run.case}${run.disturbed ? " (disturbed)" : ""}`), run.schedule, `${run.threads}`, duration(run.seconds * 1e6), figure(run.roofline?.gflops), times(run.metrics.speedup),
      percent(run.metrics.parallel_efficiency), percent(run.metrics.load_balance)];
  });
  return table([["case", "text wrap"], ["schedule", "text"], ["threads"], ["time"], ["GF/s"], ["speed-up"], ["efficiency"], ["balance"]], rows);
}

/** The run that the address asks for: #run=2 is the second. */
function chosenRun() {
  const number = Number(new URLSearchParams(location.hash.slice(1)).get("run"));
  return number >= 1 && number <= profile.runs.length ? Math.floor(number) - 1 : 0;
}

function start() {
  const { cpu, isa, logical_cores: cores } = profile.machine;
  const peaks = Object.entries(profile.machine.fma_gflops).map(([threads, peak]) =>
    `${plural(Number(threads), "thread")} ${figure(peak)} GF/s, ${figure(profile.machine.read_gb_per_s[threads])} GB/s`);
  document.getElementById("machine").textContent = `${cpu}, ${plural(cores, "core")}, ${isa}; measured: ${peaks.join("; ")}; headwise ${profile.version}`;
  if (profile.runs.length === 0) return document.getElementById("run").append(element("p", { class: "card" }, "There are no runs in this profile."));
  if (profile.runs.length > 1) {
    document.getElementById("runs").hidden = false;
    document.querySelector("#runs .scroll").append(runTable(chosenRun()));
    addEventListener("hashchange", () => {
      document.querySelectorAll("#runs input")[chosenRun()].checked = true;
      show(chosenRun());
    });
  }
  show(chosenRun());
}

start();
