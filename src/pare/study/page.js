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
  return Number.isNaN(numbers[0]) - Number.isNaN(numbers[1]) || a.localeCompare(b, undefined, { numeric: true });
};
const pieceByPiece = (a, b) => {
  const [ours, theirs] = [a, b].map((name) => name.split(/[ =]/));
  const apart = ours.findIndex((piece, i) => piece !== theirs[i]);
  return apart < 0 || theirs[apart] === undefined ? ours.length - theirs.length : naturally(ours[apart], theirs[apart]);
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
  let best = { y: Infinity };
  for (const point of points) {
    if (point.y < best.y) best = point;
    if (point.x === best.x && point.y === best.y) kept.push(point.row); // equals are there together
  }
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
    const order = typeof a === "string" ? pieceByPiece(a, b) : a - b;
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
  fill(at("across"), [...part.costs, "speedup"]);
  fill(at("up"), [...part.scores, "delta"]);
  const left = Object.entries(part.too_many).map(([key, count]) => `${key} (${count} ${words.values})`);
  fill(at("colour"), ["", ...part.axes.map((each) => each.key)], (name) => name || words.none);
  at("colour").append(...left.map((text) => make("option", text, { disabled: "" })));
  at("too-many").textContent = left.length ? `${words.too_many}: ${left.join(", ")}` : "";
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
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && points.length) {
      place = place < 0 && step < 0 ? points.length - 1 : (place + step + points.length) % points.length;
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
