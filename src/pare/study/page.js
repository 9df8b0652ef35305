"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const words = data.words;
const word = (name) => words[name] ?? name;
const at = (id) => document.getElementById(id);
const make = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};
const naturally = (a, b) => { // numbers by size, before words
  const numbers = [a, b].map(Number);
  if (numbers.every((x) => !Number.isNaN(x))) return numbers[0] - numbers[1];
  return Number.isNaN(numbers[0]) - Number.isNaN(numbers[1]) || a.localeCompare(b);
};
const fill = (select, names, label = word) => {
  select.replaceChildren(...names.map((name) => make("option", label(name), { value: name })));
};
let part; // the task and machine that is shown
let sorted = { by: null, down: false };

// ---- values

const value = (row, name) => {
  if (name === "delta") return row.delta ?? null;
  if (name === "speedup") return row.speedup ? row.speedup[0] : null;
  return row.values[name]?.[0] ?? null;
};
const digits = (name) => part.digits[name] ?? 2;
const told = (row, name) => {
  const found = value(row, name);
  if (found === null) return "";
  if (name === "delta") return `${found > 0 ? "+" : ""}${found.toFixed(2)}`;
  if (name === "speedup") return `${found.toFixed(2)}x`;
  return found.toFixed(digits(name));
};
const beside = (row, name) => {
  if (name === "delta") return row.interval ? ` [${row.interval.map((x) => x.toFixed(2)).join(", ")}] ${row.mark}` : "";
  if (name === "speedup") return row.speedup.length > 1 ? ` [${row.speedup.slice(1).map((x) => x.toFixed(2)).join(", ")}]` : "";
  const spread = row.values[name]?.[1];
  return spread ? ` ± ${spread.toFixed(digits(name))}` : "";
};
const isBetterHigh = (name) => name === "speedup" || name === "delta" || part.higher.includes(name);
const frontOf = (rows, across, up) => {
  const sign = (name) => (isBetterHigh(name) ? -1 : 1);
  const points = rows
    .map((row) => ({ row, x: value(row, across), y: value(row, up) }))
    .filter((point) => point.x !== null && point.y !== null)
    .map((point) => ({ ...point, x: point.x * sign(across), y: point.y * sign(up) }))
    .sort((a, b) => a.x - b.x || a.y - b.y);
  const kept = [];
  let best = Infinity;
  for (const point of points) if (point.y < best) { best = point.y; kept.push(point.row); }
  return kept;
};

// ---- saying and copying

let silence;
const say = (text) => {
  at("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { at("said").textContent = ""; }, 6000);
};
const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", text, { "aria-hidden": "true" }); // a file has no clipboard in some browsers
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return say(words.not_copied + text);
  }
  say(words.copied + text);
};
const copyButton = (row) => {
  const made = make("button", words.copy, { type: "button", "aria-label": `${words.copy}: ${row.name}` });
  made.addEventListener("click", () => copy(row.again));
  return made;
};

// ---- charts

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

const drawFront = () => {
  const across = at("across").value, up = at("up").value, by = at("colour").value;
  const front = frontOf(part.rows, across, up);
  const groups = new Map();
  for (const row of part.rows) {
    if (value(row, across) === null || value(row, up) === null) continue;
    const group = by ? row.choices[by] ?? "–" : front.includes(row) ? words.on_front : words.others;
    groups.set(group, [...(groups.get(group) ?? []), row]);
  }
  const names = [...groups.keys()].sort(naturally);
  const traces = names.map((name, i) => {
    const rows = groups.get(name);
    const plain = by ? PALETTE[theme()][i % 8] : colour(name === words.on_front ? "front" : "other");
    return {
      type: "scatter", mode: "markers", name: by ? `${by}=${name}` : name,
      x: rows.map((row) => value(row, across)), y: rows.map((row) => value(row, up)),
      text: rows.map(hover), hovertemplate: "%{text}<extra></extra>",
      marker: { color: plain, symbol: by ? SHAPES[i % 8] : "circle", opacity: 0.9,
        size: rows.map((row) => (front.includes(row) ? 12 : 7)), line: { width: 1, color: colour("ground") } },
    };
  });
  points = names.flatMap((name, curve) => groups.get(name).map((row, point) => ({ row, curve, point })))
    .sort((a, b) => value(a.row, across) - value(b.row, across));
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
  const steps = row.stages.filter((stage) => stage.score !== null);
  const changes = steps.map((stage, i) => 100 * (stage.score - (i ? steps[i - 1].score : 0)));
  const scores = steps.map((stage) => 100 * stage.score);
  const low = Math.min(...scores), high = Math.max(...scores), room = Math.max(1, (high - low) * 0.25);
  Plotly.react("stages-chart", [{
    type: "waterfall", x: steps.map((stage) => stage.name), y: changes,
    measure: steps.map((_, i) => (i ? "relative" : "absolute")),
    text: changes.map((change, i) => (i ? `${change > 0 ? "+" : ""}${change.toFixed(2)}` : scores[0].toFixed(2))),
    customdata: scores, hovertemplate: "%{x}: %{customdata:.2f}<extra></extra>", textposition: "outside", cliponaxis: false,
    connector: { line: { color: colour("other"), width: 1 } }, totals: { marker: { color: colour("other") } },
    increasing: { marker: { color: colour("up") } }, decreasing: { marker: { color: colour("down") } },
  }], layout({
    xaxis: axis(""), yaxis: { ...axis(`${part.primary} ${words.on_dev}`), range: [Math.max(0, low - room), high + room] }, showlegend: false,
  }), CONFIG);
  simple("stages-table", [words.stage, `${part.primary} ${words.on_dev}`, words.since_before, words.params_m, words.size_mb],
    row.stages.map((stage) => {
      const i = steps.indexOf(stage);
      const some = stage.seeds < row.seeds ? ` (${stage.seeds} ${words.of} ${row.seeds})` : ""; // others went without
      return [stage.name + some, stage.score === null ? "" : (100 * stage.score).toFixed(2), i > 0 ? `${changes[i] > 0 ? "+" : ""}${changes[i].toFixed(2)}` : "",
        stage.params === null ? "" : (stage.params / 1e6).toFixed(2), stage.size === null ? "" : stage.size.toFixed(2)];
    }));
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
  const chosen = [...new Set(part.rows.flatMap((row) => Object.keys(row.choices)))];
  const dimensions = chosen.map((name) => {
    const values = part.rows.map((row) => row.choices[name] ?? "–");
    const ticks = [...new Set(values)].sort(naturally);
    return { label: name.split(/[./]/).pop(), values: values.map((x) => ticks.indexOf(x)), tickvals: ticks.map((_, i) => i), ticktext: ticks };
  }).filter((dimension) => dimension.ticktext.length > 1 && dimension.ticktext.length <= 20);
  for (const name of [...part.scores.slice(0, 1), "speedup", "latency_ms", "size_mb", "memory_mb"]) {
    const values = part.rows.map((row) => value(row, name));
    if (values.every((x) => x !== null)) dimensions.push({ label: word(name), values });
  }
  const longest = Math.max(...(dimensions[0]?.ticktext ?? [""]).map((text) => text.length)); // of its leftmost names
  Plotly.react("parallel-chart", [{
    type: "parcoords", dimensions, labelfont: { size: 12 }, tickfont: { color: colour("ink") }, rangefont: { color: colour("faint") },
    line: { color: part.rows.map((row) => value(row, part.primary)), colorscale: SCALES[theme()], showscale: true,
      colorbar: { title: { text: part.primary }, thickness: 12 } },
    unselected: { line: { color: colour("line"), opacity: 0.3 } },
  }], layout({ margin: { l: Math.min(300, Math.max(70, 20 + 6 * longest)), r: 30, t: 60, b: 25 } }), CONFIG);
};

// ---- tables

const simple = (id, heads, lines) => {
  const table = at(id);
  const head = make("tr");
  const inWords = [words.stage, words.configuration, words.why];
  head.append(...heads.map((text) => make("th", text, { scope: "col", ...(inWords.includes(text) ? { class: "text" } : {}) })));
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...lines.map((line) => {
    const made = make("tr");
    made.append(...line.map((text, i) => make("td", text, inWords.includes(heads[i]) ? { class: "text" } : {})));
    return made;
  }));
};
const columns = () => ["name", part.primary, "delta", "speedup", ...part.scores.slice(1), ...part.costs];
const drawTable = () => {
  const head = make("tr");
  for (const name of columns()) {
    const cell = make("th", undefined, { scope: "col", "aria-sort": "none" });
    const button = make("button", name === "name" ? words.configuration : word(name), { type: "button" });
    button.addEventListener("click", () => sortBy(name));
    cell.append(button);
    cell.column = name;
    head.append(cell);
  }
  head.append(make("th", words.again, { scope: "col" }));
  at("table").tHead.replaceChildren(head);
  at("table").tBodies[0].replaceChildren(...part.rows.map((row) => {
    const line = make("tr");
    line.row = row;
    line.words = row.name.toLowerCase();
    for (const name of columns()) {
      const cell = name === "name" ? make("td", row.name, { class: "text" }) : make("td", told(row, name));
      const more = name === "name" ? row.counted && ` ${row.counted}` : value(row, name) === null ? "" : beside(row, name);
      if (more) cell.append(make("small", more));
      line.append(cell);
    }
    const last = make("td");
    last.append(copyButton(row));
    line.append(last);
    return line;
  }));
  at("signs").replaceChildren(...part.notes.map((note) => make("li", note)));
};
const sortBy = (name) => {
  sorted = { by: name, down: sorted.by === name ? !sorted.down : name !== "name" && isBetterHigh(name) };
  const of = (line) => (name === "name" ? line.row.name : value(line.row, name));
  const compare = (a, b) => {
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1; // what is not known is last either way
    const order = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    return sorted.down ? -order : order;
  };
  const body = at("table").tBodies[0];
  body.append(...[...body.rows].sort((a, b) => compare(of(a), of(b))));
  for (const cell of at("table").tHead.rows[0].cells) {
    if (!cell.column) continue;
    cell.setAttribute("aria-sort", cell.column !== name ? "none" : sorted.down ? "descending" : "ascending");
    const button = cell.firstChild;
    button.textContent = button.textContent.replace(/ [▲▼]$/, "") + (cell.column === name ? (sorted.down ? " ▼" : " ▲") : "");
  }
};
const filter = () => {
  const wanted = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const line of at("table").tBodies[0].rows) {
    line.hidden = !wanted.every((each) => line.words.includes(each));
    left += line.hidden ? 0 : 1;
  }
  at("count").textContent = `${left} ${words.of} ${part.rows.length} ${words.shown}`;
};

// ---- all of it

const drawLater = (id, draw) => { // what nobody has scrolled to need not be drawn yet
  const watcher = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) { watcher.disconnect(); draw(); }
  }, { rootMargin: "300px" });
  watcher.observe(at(id));
};
const drawCharts = () => {
  drawFront();
  drawLater("stages", drawStages);
  drawLater("parallel", drawParallel);
};
const showPart = () => {
  part = data.parts[Number(at("part").value) || 0];
  sorted = { by: null, down: false };
  const choices = [...new Set(part.rows.flatMap((row) => Object.keys(row.choices)))];
  fill(at("across"), [...part.costs, "speedup"]);
  fill(at("up"), [...part.scores, "delta"]);
  fill(at("colour"), ["", ...choices], (name) => name || words.none);
  fill(at("row"), part.rows.map((_, i) => String(i)), (i) => part.rows[Number(i)].name);
  at("row").value = String(part.rows.indexOf(frontOf(part.rows, at("across").value, at("up").value).pop()));
  drawTable();
  filter();
  drawCharts();
};
const setTheme = (name) => { document.documentElement.dataset.theme = name; };

const begin = () => {
  document.title = `Pare · ${words.report}`;
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = word(each.dataset.word);
  at("filter").placeholder = words.filter_hint;
  at("title").textContent = data.parts.map((each) => each.title.split(" · ")[0]).filter((x, i, all) => all.indexOf(x) === i).join(", ") || words.report;
  at("subtitle").textContent = `${data.done} ${words.of} ${data.jobs} ${words.jobs} · ${data.parts.map((each) => each.title).join(" | ")} · ${data.written}`;
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  at("theme").addEventListener("click", () => {
    setTheme(theme() === "dark" ? "light" : "dark");
    if (part) drawCharts();
  });
  if (data.without.length) {
    at("without").hidden = false;
    simple("without-table", [words.job, words.configuration, words.why], data.without.map((each) => [String(each.job), each.name, each.why]));
  }
  if (data.notes.length) {
    at("notes").hidden = false;
    at("notes-list").append(...data.notes.map((note) => make("li", note)));
  }
  for (const { is, jobs } of data.environments) {
    const list = make("dl");
    const several = data.environments.length > 1 ? [[words.jobs, jobs.join(", ")]] : [];
    const packages = Object.entries(is.packages ?? {}).filter(([, version]) => version).map((pair) => pair.join(" "));
    for (const [name, what] of [...several, ...Object.entries({ ...is, packages: packages.join(", ") })]) {
      if (what === null || what === "" || (Array.isArray(what) && !what.length)) continue;
      list.append(make("dt", name), make("dd", String(what)));
    }
    at("environments").append(list);
  }
  if (!data.parts.length) {
    for (const id of ["front", "all", "stages", "parallel"]) at(id).hidden = true;
    at("part-label").hidden = true;
    at("subtitle").textContent += ` · ${words.no_done}`;
    return;
  }
  fill(at("part"), data.parts.map((_, i) => String(i)), (i) => data.parts[Number(i)].title);
  at("part-label").hidden = data.parts.length < 2;
  at("part").addEventListener("change", showPart);
  for (const id of ["across", "up", "colour"]) at(id).addEventListener("change", drawFront);
  at("row").addEventListener("change", drawStages);
  at("filter").addEventListener("input", filter);
  showPart();
  const chart = at("front-chart");
  chart.on("plotly_click", (event) => {
    const row = rowAt(event.points[0].curveNumber, event.points[0].pointNumber);
    if (row) copy(row.again);
  });
  let place = -1;
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && points.length) {
      place = (place + step + points.length) % points.length;
      const { row, curve, point } = points[place];
      Plotly.Fx.hover(chart, [{ curveNumber: curve, pointNumber: point }]);
      say(`${row.name}: ${word(at("up").value)} ${told(row, at("up").value)}, ${word(at("across").value)} ${told(row, at("across").value)}`);
      event.preventDefault();
    } else if ((event.key === "Enter" || event.key === " ") && points[place]) {
      copy(points[place].row.again);
      event.preventDefault();
    }
  });
};
begin();
document.documentElement.dataset.ready = "true";
