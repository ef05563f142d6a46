"use strict";

const $ = (id) => document.getElementById(id);
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  let unit = 0;
  while (Math.abs(bytes) >= 1024 && unit < UNITS.length - 1) { bytes /= 1024; unit++; }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toPrecision(3)} ${UNITS[unit]}`;
}
function percent(share) { return share === null || share === undefined ? "" : `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`; }
function interval(seconds) {
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
function clock(ms) { return new Date(ms).toLocaleTimeString([], { hour12: false }); }

// ---- what is shown, and what is asked for

const wish = { context: null, target: null, everything: false, span_s: 120, from_ms: null, to_ms: null };
let overview = null, view = null, held = false, order = { key: "share", down: true }, socket = null, retry_ms = 250;
const heatmap = new HeatMap($("heatmap"), showCell);
let workingSet = null;

function ask() {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(wish));
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}${location.pathname}live`);
  socket.onopen = () => { retry_ms = 250; setLink("connected", true); ask(); };
  socket.onclose = (event) => {
    setLink(event.reason || `disconnected; trying again`, false);
    setTimeout(connect, retry_ms);
    retry_ms = Math.min(2 * retry_ms, 5000);
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.kind === "overview") showOverview(message);
    else if (message.kind === "view" && message.context === wish.context && !held) showView(message);
    else if (message.kind === "refused") showTrouble(message.reason);
  };
}

function setLink(words, good) {
  $("link").textContent = words;
  $("link").className = good ? "good" : "";
}
function showTrouble(words) {
  $("trouble").hidden = !words;
  $("trouble").textContent = words;
}

// ---- contexts

function choose(name) {
  if (wish.context === name) return;
  Object.assign(wish, { context: name, target: null });
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  heatmap.show(null);
  ask();
  if (overview) showOverview(overview);
}

function showOverview(message) {
  overview = message;
  $("host").textContent = message.host ? `${message.host} · damond ${message.version}` : "";
  showTrouble(message.trouble);
  const names = message.contexts.map((each) => each.name);
  $("empty").hidden = names.length > 0 || Boolean(message.trouble);
  if (names.length && !names.includes(wish.context)) {
    const wanted = decodeURIComponent(location.hash.slice(1));
    return choose(names.includes(wanted) ? wanted : (message.contexts.find((each) => each.state === "running") ?? message.contexts[0]).name);
  }
  const body = $("contexts").tBodies[0];
  body.replaceChildren(...message.contexts.map(contextRow));
  const chosen = message.contexts.find((each) => each.name === wish.context);
  if (chosen) showState(chosen);
  showRecordControls(message.recorded?.[wish.context]);
}

function contextRow(each) {
  const row = document.createElement("tr");
  row.setAttribute("aria-selected", each.name === wish.context);
  row.onclick = () => choose(each.name);
  const name = cell(""), button = document.createElement("button");
  button.textContent = each.name;
  name.append(button, words(`state ${each.state}`, stateWords(each)));
  const sizes = cell(each.accessed_bytes === null ? "" : `${size(each.accessed_bytes)} of ${size(each.total_bytes)}`, "n");
  if (each.spark.length > 1) sizes.append(sparkline(each.spark));
  row.append(name, sizes, cell(percent(each.cpu_fraction), "n"));
  return row;
}
function stateWords(each) {
  const lost = each.missed ? `, ${each.missed} lost` : "";
  return `${each.state}${each.stale ? ", stale" : ""}${lost}`;
}
function sparkline(values) {
  const top = Math.max(...values, 1), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${values.length - 1} 10`);
  svg.setAttribute("preserveAspectRatio", "none");
  const line = document.createElementNS(svg.namespaceURI, "polyline");
  line.setAttribute("points", values.map((value, i) => `${i},${10 - 10 * value / top}`).join(" "));
  svg.append(line);
  return svg;
}
function cell(text, kind = "") {
  const each = document.createElement("td");
  each.className = kind;
  each.textContent = text;
  return each;
}
function words(kind, text) {
  const each = document.createElement("span");
  each.className = kind;
  each.textContent = text;
  return each;
}

function showState(each) {
  $("name").textContent = each.name;
  $("state").className = each.stale ? "stale" : each.state;
  $("state").textContent = `${stateWords(each)} · ${each.primitive}${each.pid ? ` · worker ${each.pid}, ${size(each.rss_bytes)} RSS` : ""}`;
  const why = each.state === "running" ? "" : [each.reason, each.hint].filter(Boolean).join(": ");
  $("why").hidden = !why;
  $("why").textContent = why;
}

// ---- one context

function showView(message) {
  view = message;
  if (!message.newest) {
    $("heat-note").textContent = message.why ?? "nothing seen yet";
    heatmap.show(null);
    return;
  }
  showFigures(message);
  showTargets(message);
  heatmap.show(message.heatmap);
  const map = message.heatmap;
  $("heat-note").textContent = map ? `${size(map.drawn_bytes)} of ${size(map.total_bytes)} drawn; ${interval((map.end_ms - map.start_ms) / 1000)}, one column ${interval((map.end_ms - map.start_ms) / 1000 / map.nr_times)}` : "";
  showWorkingSet(message.working_set);
  showIdle(message.idle);
  showRegions();
}

function budgetWords(budget) {
  const bounds = [
    budget?.max_cpu && `${percent(budget.max_cpu)} of a CPU`,
    budget?.max_checks_per_s && `${Math.round(budget.max_checks_per_s).toLocaleString("en")} checks/s`,
  ].filter(Boolean).join(" and ");
  return bounds && budget.stretched >= 1.05 ? `${bounds}, samples ${budget.stretched.toPrecision(3)} times rarer` : bounds;
}

function showFigures({ newest, lost }) {
  const past = [
    ["working set, median", size(newest.accessed_bytes)],
    ["working set, p95", size(newest.p95_bytes)],
    ["touched in this time", size(newest.touched_bytes)],
    ["monitored, median", size(newest.total_bytes)],
    ["windows", newest.nr_windows?.toLocaleString("en")],
    ["windows lost", newest.nr_missed?.toLocaleString("en")],
    ["gaps", newest.nr_gaps?.toLocaleString("en")],
    ["sampled every", interval(newest.sample_us / 1e6)],
  ];
  const rows = newest.past ? past : [
    ["working set", size(newest.accessed_bytes)],
    ["monitored", size(newest.total_bytes)],
    ["known to be cold", size(newest.cold_bytes)],
    ["merely unseen", size(newest.unseen_bytes)],
    ["finds hot areas of", newest.smallest_found_bytes ? `${size(newest.smallest_found_bytes)} in a minute` : ""],
    ["RSS of the processes", size(newest.rss_bytes)],
    ["PSS", size(newest.pss_bytes)],
    ["limit of the cgroup", size(newest.limit_bytes)],
    ["bandwidth, estimate", `${size(newest.bandwidth_bps)}/s`],
    ["regions", newest.nr_regions.toLocaleString("en")],
    ["access checks", `${Math.round(newest.checks_per_s).toLocaleString("en")}/s`],
    ["CPU of the worker", percent(newest.cpu_fraction)],
    ["budget", budgetWords(newest.budget)],
    ["sampled every", interval(newest.sample_us / 1e6)],
    ["window", interval(newest.window_ms / 1000)],
    ["newest", clock(newest.end_ms)],
    ["lost / skipped here", lost ? `${lost.missed} / ${lost.skipped}` : ""],
  ];
  $("figures").replaceChildren(...rows.filter(([, value]) => value).map(([name, value]) => {
    const pair = document.createElement("div"), term = document.createElement("dt"), data = document.createElement("dd");
    term.textContent = name;
    data.textContent = value;
    pair.append(term, data);
    return pair;
  }));
}

function showTargets({ targets, target }) {
  $("target-label").hidden = targets.length < 2;
  if (document.activeElement === $("target")) return;
  $("target").replaceChildren(...targets.map((each) => new Option(each.pid ? `pid ${each.pid}` : `target ${each.id}`, each.id, false, each.id === target)));
}

function showCell(found) {
  $("cell").textContent = found === null ? "Point at a cell to read it."
    : `${clock(found.time_ms)} · 0x${found.from.toString(16)}, ${size(found.size)}: ${found.words ?? `accessed in ${percent(found.share)} of samples`}${found.name ? ` · ${found.name}` : ""}`;
}

function showWorkingSet(points) {
  const element = $("working-set");
  if (workingSet === null) {
    const ink = () => inkOf("--ink");
    workingSet = new uPlot({
      width: element.clientWidth, height: 160, legend: { show: false }, cursor: { drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.05] } },
      series: [{}, { stroke: () => inkOf("--accent"), width: 1.5, points: { show: false }, fill: "rgba(200, 60, 100, 0.12)" }],
      axes: [
        { stroke: ink, space: 80, grid: { show: false }, values: clocks },
        { stroke: ink, size: 72, splits: sizeTicks, values: (_, values) => values.map(size), grid: { stroke: () => inkOf("--line") } },
      ],
    }, [[], []], element);
    new ResizeObserver(() => workingSet.setSize({ width: element.clientWidth, height: 160 })).observe(element);
  }
  workingSet.setData([points.map(([ms]) => ms / 1000), points.map(([, bytes]) => bytes)]);
}

// Powers of two are where sizes are round.
function sizeTicks(plot, axis, low, high) {
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(high / 5)));
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, i) => i * step);
}

function showIdle(rows) {
  const all = Math.max(1, rows.reduce((sum, each) => sum + each.bytes, 0));
  rows = rows.slice(0, rows.findLastIndex((each) => each.bytes > 0) + 1);
  $("idle").tBodies[0].replaceChildren(...rows.map((each) => {
    const row = document.createElement("tr"), bar = cell(""), fill = words("fill", "");
    fill.style.width = `${100 * each.bytes / all}%`;
    bar.append(fill);
    row.append(cell(each.label), bar, cell(size(each.bytes), "n"), cell(percent(each.bytes / all), "n"));
    return row;
  }));
}

const KEYS = { start: (each) => BigInt(each.start), name: (each) => each.name ?? "" };

function showRegions() {
  const key = KEYS[order.key] ?? ((each) => each[order.key]);
  const rows = [...view.regions].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (order.down ? -1 : 1));
  $("regions-head").textContent = view.newest.past ? "last touched before the end" : "about so for";
  $("regions-note").textContent = view.newest.nr_regions > rows.length ? `the ${rows.length} most accessed of ${view.newest.nr_regions}` : "";
  for (const button of document.querySelectorAll("#regions th button")) {
    const head = button.parentElement;
    if (button.dataset.key === order.key) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  $("regions").tBodies[0].replaceChildren(...rows.map((each) => {
    const row = document.createElement("tr"), address = cell(""), code = document.createElement("code");
    code.textContent = each.start;
    address.append(code);
    row.append(address, cell(size(each.bytes), "n"), cell(percent(each.share), "n"), cell(each.age_s === null ? "never touched" : interval(each.age_s), "n"), cell(each.name ?? ""));
    return row;
  }));
}

// ---- back in time

function showRecordControls(recorded) {
  $("record-controls").hidden = !recorded;
  if (!recorded) return;
  $("recorded").textContent = `recorded: ${new Date(recorded.first_ms).toLocaleString()} to ${new Date(recorded.last_ms).toLocaleString()}`;
  if (!$("from").value) {
    $("to").value = local(Math.ceil(recorded.last_ms / 1000) * 1000);  // whole seconds, and the last snapshot in them
    $("from").value = local(Math.max(recorded.first_ms, recorded.last_ms - 600_000));
  }
}
function local(ms) { return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19); }

function setSpan(from_ms, to_ms) {
  Object.assign(wish, { from_ms, to_ms });
  $("live").setAttribute("aria-pressed", from_ms === null);
  ask();
}

// ---- what people do

$("everything").onchange = ({ target }) => { wish.everything = target.checked; ask(); };
$("back").onchange = ({ target }) => { wish.span_s = Number(target.value); ask(); };
$("target").onchange = ({ target }) => { wish.target = Number(target.value); target.blur(); ask(); };
$("pause").onclick = ({ currentTarget }) => {
  held = !held;
  currentTarget.setAttribute("aria-pressed", held);
  currentTarget.textContent = held ? "Picture held" : "Hold picture";
};
$("live").onclick = () => setSpan(null, null);
$("span").onsubmit = (event) => {
  event.preventDefault();
  setSpan(new Date($("from").value).getTime(), new Date($("to").value).getTime());
};
for (const button of document.querySelectorAll("#regions th button")) {
  button.onclick = () => {
    order = { key: button.dataset.key, down: order.key === button.dataset.key ? !order.down : button.dataset.key !== "start" && button.dataset.key !== "name" };
    if (view?.newest) showRegions();
  };
}
window.onhashchange = () => { const name = decodeURIComponent(location.hash.slice(1)); if (overview?.contexts.some((each) => each.name === name)) choose(name); };

drawScale($("scale"));
connect();
