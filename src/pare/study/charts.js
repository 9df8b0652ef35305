"use strict"; // what the page draws; page.js says of what
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const layout = (more) => ({
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
  font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 13 },
  margin: { l: 60, r: 20, t: 20, b: 55 }, hoverlabel: { align: "left" }, ...more,
});
const axis = (title) => ({ title: { text: title }, gridcolor: colour("line"), zerolinecolor: colour("line"), automargin: true });
const CONFIG = { responsive: true, displayModeBar: false };
const escaped = (text) => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);
const hover = (row) => {
  const lines = [`<b>${escaped(row.name).replaceAll(" ", "<br>")}</b>`, ...(row.counted ? [row.counted] : [])];
  for (const name of [part.primary, "delta", "speedup", ...part.costs]) {
    if (value(row, name) !== null) lines.push(`${word(name)}: ${told(row, name)}${beside(row, name)}`);
  }
  return lines.join("<br>");
};
const PALETTE = { // distinguishable in both themes and with red-green blindness
  light: ["#0b5cad", "#b4511c", "#1a7f37", "#8250a8", "#00707a", "#99315f", "#6b5d00", "#4d5560"],
  dark: ["#7ab8ff", "#ffac7a", "#6fd58a", "#d1a8ff", "#5fd0dc", "#ff9cc4", "#d9c85a", "#b7c0ca"],
};
const SCALES = { light: [[0, "#c9642c"], [0.5, "#6b5fa8"], [1, "#0b3f85"]], dark: [[0, "#ff9b85"], [0.5, "#b79cff"], [1, "#8ff0d0"]] };
const SHAPES = ["circle", "square", "triangle-up", "cross", "x", "hexagon", "star", "triangle-down"];
const theme = () => document.documentElement.dataset.theme;
let points = []; // of the front's chart, from left to right: {row, curve, point}
let place = -1; // among them, of the one that was told last

const scaleOf = (axis) => ({
  colorscale: SCALES[theme()], showscale: true,
  colorbar: { title: { text: axis.label }, thickness: 12, tickvals: axis.tickvals, ticktext: axis.ticktext },
});
const drawFront = () => {
  const across = at("across").value, up = at("up").value, by = at("colour").value;
  const front = frontOf(part.rows, across, up);
  const scale = part.axes.find((each) => each.key === by && each.scaled);
  const groups = new Map();
  for (const row of part.rows) {
    if (value(row, across) === null || value(row, up) === null) continue;
    const group = scale && by in row.choices ? by : by ? row.choices[by] ?? "–" : front.includes(row) ? words.on_front : words.others;
    groups.set(group, [...(groups.get(group) ?? []), row]);
  }
  const names = [...groups.keys()].sort(naturally);
  const traces = names.map((name, i) => {
    const rows = groups.get(name);
    const isScaled = scale && name === by;
    const plain = by && !scale ? PALETTE[theme()][i % 8] : colour(name === words.on_front ? "front" : "other");
    return {
      type: "scatter", mode: "markers", name: by ? escaped(`${by}=${name}`) : name, showlegend: !isScaled,
      x: rows.map((row) => value(row, across)), y: rows.map((row) => value(row, up)),
      text: rows.map(hover), hovertemplate: "%{text}<extra></extra>",
      marker: { color: isScaled ? rows.map((row) => scale.values[part.rows.indexOf(row)]) : plain, opacity: 0.9,
        symbol: by && !scale ? SHAPES[(i + Math.floor(i / 8)) % 8] : "circle", ...(isScaled ? scaleOf(scale) : {}),
        size: rows.map((row) => (front.includes(row) ? 12 : 7)), line: { width: 1, color: colour("ground") } },
    };
  });
  points = names.flatMap((name, curve) => groups.get(name).map((row, point) => ({ row, curve, point })))
    .sort((a, b) => value(a.row, across) - value(b.row, across));
  place = -1;
  const base = part.baselines.filter((each) => each.values[across] && each.values[up]);
  if (base.length) traces.push({
    type: "scatter", mode: "markers", name: words.baseline,
    x: base.map((each) => each.values[across][0]), y: base.map((each) => each.values[up][0]),
    hovertemplate: `${words.baseline}<br>%{x:.4~g}, %{y:.4~g}<extra></extra>`,
    marker: { color: colour("base"), symbol: "diamond", size: 13 },
  });
  traces.push({
    type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: colour("front"), width: 1.5, shape: "linear", dash: "dot" },
    x: front.map((row) => value(row, across)), y: front.map((row) => value(row, up)),
  });
  Plotly.react("front-chart", traces, layout({
    xaxis: axis(word(across)), yaxis: axis(word(up)), hovermode: "closest",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, margin: { l: 60, r: 20, t: 50, b: 55 },
  }), CONFIG);
  listFront(front, across, up);
  for (const line of at("table").tBodies[0].rows) line.classList.toggle("on-front", front.includes(line.row));
};
const listFront = (front, across, up) => {
  at("front-list").replaceChildren(...front.map((row) => {
    const item = make("li");
    item.append(make("strong", row.name), ` ${row.counted} ${told(row, up)}, ${word(across)} ${told(row, across)}`, copyButton(row));
    return item;
  }));
};
const rowAt = (curve, point) => points.find((each) => each.curve === curve && each.point === point)?.row;

const drawStages = () => {
  const row = part.rows[Number(at("row").value)];
  const named = (stage) => stage.name + (stage.seeds < row.seeds ? ` (${stage.seeds} ${words.of} ${row.seeds})` : ""); // others went without
  const score = (stage) => (stage.score === null ? "" : (100 * stage.score).toFixed(2));
  const change = (stage) => (stage.change === null ? "" : `${stage.change > 0 ? "+" : ""}${(100 * stage.change).toFixed(2)}`);
  const steps = row.stages.filter((stage) => stage.score !== null);
  const scores = steps.map((stage) => 100 * stage.score);
  const changes = steps.map((stage) => 100 * (stage.change ?? stage.score));
  const before = scores.map((after, i) => after - changes[i]); // in the seeds that have the stage
  const colours = steps.map((stage) => colour(stage.change > 0 ? "up" : stage.change < 0 ? "down" : "other"));
  const levels = [...scores, ...before.slice(1)];
  const low = Math.min(...levels), high = Math.max(...levels), room = Math.max(1, (high - low) * 0.25);
  const bottom = low < 0 ? low - room : Math.max(0, low - room);
  Plotly.react("stages-chart", [{
    type: "bar", x: steps.map(named), y: changes, base: before, text: steps.map((stage) => change(stage) || score(stage)),
    customdata: scores, hovertemplate: "%{x}: %{customdata:.2f}<extra></extra>", textposition: "outside", cliponaxis: false,
    marker: { color: colours, line: { color: colours, width: 1 } }, // a line where nothing changed
  }], layout({
    xaxis: axis(""), yaxis: { ...axis(`${part.primary} ${words.on_dev}`), range: [bottom, high + room] }, showlegend: false,
  }), CONFIG);
  simple("stages-table", [words.stage, `${part.primary} ${words.on_dev}`, words.since_before, words.params_m, words.size_mb],
    row.stages.map((stage) => [named(stage), score(stage), change(stage),
      stage.params === null ? "" : (stage.params / 1e6).toFixed(2), stage.size === null ? "" : stage.size.toFixed(2)]));
  at("stages-found").replaceChildren(...row.found.map((line) => make("li", line)));
};

const hasWebgl = () => {
  try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
};
const drawParallel = () => {
  if (!hasWebgl()) {
    at("parallel-chart").textContent = words.no_webgl;
    at("parallel-chart").style.cssText = "height: auto; padding: 1rem; min-width: 0";
    return;
  }
  const dimensions = part.axes.map(({ key, scaled, ...axis }) => axis);
  for (const name of [...part.scores.slice(0, 1), "speedup", "latency_ms", "size_mb", "memory_mb"]) {
    const values = part.rows.map((row) => value(row, name));
    if (values.every((x) => x !== null)) dimensions.push({ label: word(name), values, tickformat: ".4~g" });
  }
  const widths = dimensions.map((each) => 20 + 6 * Math.max(0, ...(each.ticktext ?? []).map((text) => text.length)));
  const left = Math.max(70, widths[0]); // values in words stand left of their axis
  at("parallel-chart").style.minWidth = `${Math.max(736, left + dimensions.length * Math.max(80, ...widths.slice(1)))}px`;
  Plotly.react("parallel-chart", [{
    type: "parcoords", dimensions, labelfont: { size: 12 }, tickfont: { color: colour("ink") }, rangefont: { color: colour("faint") },
    line: { color: part.rows.map((row) => value(row, part.primary)), colorscale: SCALES[theme()], showscale: true,
      colorbar: { title: { text: part.primary }, thickness: 12 } },
    unselected: { line: { color: colour("line"), opacity: 0.3 } },
  }], layout({ margin: { l: left, r: 30, t: 60, b: 25 } }), CONFIG);
};
