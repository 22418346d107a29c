"use strict";
// The page around the drawings: search, outline, details, colors, comparison, keyboard.

const LIGHT = {
  paper: "#fbfbfd", group: ["rgba(99,112,150,.07)", "rgba(99,112,150,.06)"], groupLine: "#c6ccdb", muted: "#5b6478", edge: "#9aa3b5",
  accent: "#e0561b", ink: "#1c2333", faint: "#5d667b", box: [96, 46, 40], scale: ["#eef3fb", "#bcd3f2", "#6ba2e0", "#2b6cc4", "#12397f"],
  marks: { added: "#1a8f4c", removed: "#cf2f3a", changed: "#c77800" }, none: "#f0f1f5",
};
const DARK = {
  paper: "#14171f", group: ["rgba(150,165,210,.08)", "rgba(150,165,210,.07)"], groupLine: "#3c4458", muted: "#a4adc2", edge: "#626c82",
  accent: "#ff8a4c", ink: "#eef1f8", faint: "#aeb7cb", box: [22, 30, 62], scale: ["#232b3d", "#274b7c", "#2f74bd", "#5aa7e8", "#c3e4ff"],
  marks: { added: "#43c77d", removed: "#ff6b74", changed: "#f0a83c" }, none: "#20242f",
};
const make = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
const element = (id) => document.getElementById(id);
const OUTLINE = 300;  // lines of the outline that are in the page at first

class App {
  constructor(data) {
    this.data = data;
    this.dark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.metric = "";
    this.measure = new Measure();
    this.more = OUTLINE;
    this.results = [];
    this.panes = data.models.map((model, number) => {
      const frame = make("section", null, { class: "pane", "aria-label": `Model ${model.name}` });
      if (data.models.length > 1) frame.append(make("h2", model.title));
      const canvas = make("canvas", null, {
        tabindex: "0", role: "application", "aria-roledescription": "drawing of a model", "aria-describedby": "keys",
        "aria-label": `${model.name}: ${model.boxes.length} boxes. Arrow keys follow the edges.`, "data-pane": number,
      });
      frame.append(canvas);
      element("panes").append(frame);
      return new Pane(canvas, new Graph(model, this.measure), this);
    });
    this.active = this.panes[0];
    this.setTheme(this.dark);
    this.fillColors();
    this.listen();
    this.outline();
    this.details();
    requestAnimationFrame(() => this.panes.forEach((pane) => pane.fit()));
  }

  theme() { return this.dark ? DARK : LIGHT; }

  setTheme(dark) {
    this.dark = dark;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    element("theme").setAttribute("aria-pressed", String(dark));
    this.drawAll();
  }

  drawAll() { this.panes.forEach((pane) => pane.draw()); }

  // Colors

  fillColors() {
    const select = element("color");
    select.append(make("option", "kind", { value: "" }));
    const known = new Map();
    for (const pane of this.panes) for (const metric of pane.graph.metrics) known.set(metric.key, metric.label);
    known.forEach((label, key) => select.append(make("option", label, { value: key })));
    this.panes.forEach(({ graph }) => graph.metrics.forEach((metric) => this.sumUp(graph, metric)));
  }

  /** Give groups a number of their own: the sum of what is in them, or the greatest. */
  sumUp(graph, metric) {
    const all = graph.boxes.map((_, n) => (metric.values[n] ?? null));
    for (let n = graph.boxes.length - 1; n >= 0; n--) {
      const parent = graph.boxes[n].parent, value = all[n];
      if (value === null || parent < 0 || metric.values[parent] !== undefined) continue;
      const held = all[parent];
      all[parent] = held === null ? value : metric.sum ? held + value : Math.abs(value) > Math.abs(held) ? value : held;
    }
    metric.all = all;
  }

  metricOf(pane) { return pane.graph.metrics.find((metric) => metric.key === this.metric); }

  setColor(key) {
    this.metric = key;
    element("color").value = key;
    this.range();
    this.drawAll();
  }

  /** Find the range of what is shown, of both models alike, and write the legend. */
  range() {
    let least = Infinity, most = -Infinity, low = Infinity, metric = null;
    for (const pane of this.panes) {
      const found = this.metricOf(pane);
      if (!found) continue;
      metric = found;
      for (const { box, open } of pane.scene.boxes) {
        const value = found.all[box.number];
        if (open || value === null) continue;
        least = Math.min(least, value);
        most = Math.max(most, value);
        if (value > 0) low = Math.min(low, value);
      }
    }
    this.scale = metric && most >= least ? { least, most, low, log: least >= 0 && most > 30 * low } : null;
    element("legend").hidden = !this.scale;
    if (!this.scale) return;
    element("least").textContent = short(least);
    element("most").textContent = `${short(most)}${metric.unit ? ` ${metric.unit}` : ""}`;
    element("legend-name").textContent = metric.label;
  }

  /** Return a value's place in the range, from 0 to 1. */
  share(value) {
    const { least, most, low, log } = this.scale;
    if (most === least) return 0.5;
    if (!log) return (value - least) / (most - least);
    return value > 0 ? 0.1 + 0.9 * Math.log(value / low) / Math.log(most / low) : 0;
  }

  style(pane, box, theme) {
    const metric = this.metric && this.metricOf(pane);
    if (metric && this.scale) {
      const value = metric.all[box.number];
      if (value === null) return { far: theme.none, fill: theme.none, line: theme.groupLine, ink: theme.faint, faint: theme.faint };
      const { fill, light } = ramp(theme.scale, this.share(value));
      const ink = light ? "#131a2a" : "#ffffff";
      return { far: fill, fill, line: theme.groupLine, ink, faint: light ? "#39435a" : "#dbe6f7" };
    }
    const hue = HUES[category(box)], [back, edge] = theme.box, pale = category(box) === "join" || category(box) === "other" ? 18 : this.dark ? 40 : 62;
    return {
      far: `hsl(${hue} ${pale}% ${this.dark ? 42 : 74}%)`, fill: `hsl(${hue} ${pale}% ${back - (this.dark ? 0 : 1)}%)`, line: `hsl(${hue} ${pale * 0.8}% ${this.dark ? 45 : 62}%)`,
      ink: theme.ink, faint: theme.faint, edge,
    };
  }

  edgeTone(pane, strand, theme) {
    const metric = this.metric && this.metricOf(pane);
    if (!metric || !metric.edges || !this.scale) return null;
    let most = null;
    for (const e of strand.edges) {
      const value = metric.edges[e];
      if (value !== undefined && (most === null || value > most)) most = value;
    }
    return most === null ? null : ramp(theme.scale, 0.25 + 0.75 * Math.min(1, Math.max(0, this.share(most)))).fill;
  }

  // What the drawings report

  moved(pane) {
    pane.draw();
    if (element("link") && element("link").checked) {
      for (const other of this.panes) if (other !== pane) { other.camera = { ...pane.camera }; other.draw(); }
    }
  }

  hover(pane, number, x, y) {
    const tip = element("tip");
    tip.hidden = number < 0;
    if (number < 0) return;
    const box = pane.graph.boxes[number];
    tip.replaceChildren(make("strong", box.group ? this.measure.groupTitle(box) : `${box.kind}  ${box.name}`));
    for (const [name, value] of this.facts(pane, box)) {
      const line = make("div");
      line.append(make("span", name), make("b", value));
      tip.append(line);
    }
    const area = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(x + 14, innerWidth - area.width - 8)}px`;
    tip.style.top = `${y + 18 + area.height > innerHeight ? Math.max(4, y - area.height - 12) : y + 18}px`;
  }

  /** What is known of a box, as pairs of words. */
  facts(pane, box) {
    const found = [];
    if (box.inputs.length) found.push(["in", box.inputs.map(shapeWords).join("  ")]);
    if (box.outputs.length) found.push(["out", box.outputs.map(shapeWords).join("  ")]);
    if (box.dtypes && box.dtypes.length) found.push(["dtype", [...new Set(box.dtypes)].join(", ")]);
    if (box.params !== undefined) found.push(["parameters", box.params.toLocaleString("en-US") + (box.trainable === false ? ", frozen" : "")]);
    for (const metric of pane.graph.metrics) {
      const value = metric.all[box.number];
      if (value !== null && metric.key !== "params") found.push([metric.label, `${short(value)}${metric.unit ? ` ${metric.unit}` : ""}`]);
    }
    if (box.code) found.push(["code", box.code]);
    if (box.site) found.push(["line", box.site]);
    if (box.calls > 1 && !box.group) found.push(["calls", `one of ${box.calls} of this layer`]);
    for (const change of box.changes || []) found.push([box.mark, change]);
    return found;
  }

  select(pane, number, { light = true, center = false } = {}) {
    const other = this.active !== pane;
    this.active = pane;
    for (const each of this.panes) {
      let chosen = number;
      if (each !== pane) {
        chosen = number < 0 ? -1 : (each.graph.byId.get(pane.graph.boxes[number].id) ?? -1);
        if (chosen >= 0) each.graph.reveal(chosen) && each.relayout();
      }
      each.selected = chosen;
      each.lit = chosen >= 0 && light ? this.light(each, chosen) : null;
      if (chosen >= 0 && (center || each !== pane)) each.center(chosen, each === pane);
      each.draw();
    }
    this.details();
    if (other) this.outline(); else this.mark();
    this.say(number < 0 ? "Nothing selected." : this.sentence(pane, number));
  }

  light(pane, number) {
    const found = pane.graph.paths(number), shown = new Set();
    for (const leaf of found.leaves) {
      for (let n = leaf; n >= 0; n = pane.graph.boxes[n].parent) { if (shown.has(n)) break; shown.add(n); }
    }
    return { ...found, shown };
  }

  fold(pane, number, open = !pane.graph.boxes[number].open) {
    const before = pane.scene.where.get(number);
    pane.graph.setOpen(number, open);
    pane.relayout();
    const after = pane.scene.where.get(number);
    if (before && after) {
      pane.camera.x += after.x + after.w / 2 - before.x - before.w / 2;
      pane.camera.y += after.y - before.y;
    }
    this.folded(pane);
    this.say(`${pane.graph.boxes[number].name} ${open ? "opened" : "closed"}: ${pane.scene.boxes.length} boxes shown.`);
  }

  folded(pane) {
    pane.hovered = -1;
    this.range();
    this.outline();
    this.moved(pane);
  }

  foldAll(open) {
    for (const pane of this.panes) {
      pane.graph.setAll(open);
      pane.relayout();
      pane.fit();
    }
    this.folded(this.active);
    this.say(`All groups ${open ? "opened" : "closed"}.`);
  }

  say(text) { element("status").textContent = text; }

  sentence(pane, number) {
    const { graph } = pane, box = graph.boxes[number];
    const names = (edges, end) => [...new Set(edges.map((e) => graph.boxes[graph.edges[e][end]].name))].slice(0, 6).join(", ");
    const parts = [`${box.kind} ${box.name}`];
    if (box.group) parts.push(`group of ${graph.leaves[number]} layers, ${box.open ? "open" : "closed"}`);
    if (box.outputs.length) parts.push(`output ${box.outputs.map(shapeWords).join(" and ")}`);
    if (box.params) parts.push(`${box.params.toLocaleString("en-US")} parameters`);
    if (graph.into[number].length) parts.push(`from ${names(graph.into[number], 0)}`);
    if (graph.out[number].length) parts.push(`to ${names(graph.out[number], 1)}`);
    for (const change of box.changes || []) parts.push(`${box.mark}: ${change}`);
    return `${parts.join("; ")}.`;
  }

  // Details of what is selected

  details() {
    const side = element("details"), pane = this.active, number = pane.selected;
    side.replaceChildren();
    const { graph } = pane;
    if (number < 0) {
      side.append(make("h2", graph.name), make("p", graph.summary, { class: "muted" }));
      if (this.data.diff) this.list(side, "What changed", this.data.diff.map((text) => [text, this.changed(text)]));
      this.list(side, "Inputs", graph.begins.map((n) => [graph.boxes[n].name, n]));
      this.list(side, "Outputs", graph.results.map(([name, n]) => [name, n]));
      return;
    }
    const box = graph.boxes[number];
    side.append(make("h2", box.name), make("p", box.group ? `${box.kind} · ${graph.leaves[number]} layers` : box.kind, { class: "muted" }));
    const facts = make("dl");
    for (const [name, value] of this.facts(pane, box)) facts.append(make("dt", name), make("dd", value));
    side.append(facts);
    if (box.group) {
      const toggle = make("button", box.open ? "Close (Enter)" : "Open (Enter)");
      toggle.onclick = () => { this.fold(pane, number); this.details(); };
      side.append(toggle);
    }
    const ends = (edges, end) => [...new Set(edges.map((e) => graph.edges[e][end]))].map((n) => [graph.boxes[n].id, n]);
    this.list(side, "From", ends(graph.into[number], 0));
    this.list(side, "To", ends(graph.out[number], 1));
  }

  changed(text) {
    const path = text.slice(2).split("  ")[0].trim();
    for (const pane of this.panes) if (pane.graph.byPath.has(path)) return pane.graph.byPath.get(path);
    return -1;
  }

  list(side, title, entries) {
    if (!entries.length) return;
    side.append(make("h3", title));
    const list = make("ul");
    for (const [text, number] of entries.slice(0, 200)) {
      const item = make("li"), button = make("button", text, { class: "link" });
      button.onclick = () => this.go(this.paneOf(text, number), number);
      item.append(button);
      list.append(item);
    }
    side.append(list);
  }

  /** The drawing in which a line of the differences is: what was removed is in the first. */
  paneOf(text, number) {
    if (this.panes.length < 2 || !/^[-+~] /.test(text)) return this.active;
    return text[0] === "-" || this.panes[1].graph.boxes[number] === undefined ? this.panes[0] : this.panes[1];
  }

  go(pane, number) {
    if (number < 0) return;
    if (pane.graph.reveal(number)) { pane.relayout(); this.range(); this.outline(); }
    this.select(pane, number, { center: true });
  }

  // The outline: the model as text, one line for each box that is shown

  outline() {
    const tree = element("tree"), pane = this.active, { graph } = pane;
    const lines = [], stack = [...(graph.children.get(-1) || [])].reverse().map((n) => [n, 1]);
    while (stack.length) {
      const [n, depth] = stack.pop();
      lines.push([n, depth]);
      if (graph.boxes[n].open) for (const kid of [...(graph.children.get(n) || [])].reverse()) stack.push([kid, depth + 1]);
    }
    this.lines = lines.map(([n]) => n);
    const items = lines.slice(0, this.more).map(([n, depth]) => {
      const box = graph.boxes[n];
      const item = make("li", null, { role: "treeitem", "aria-level": depth, "data-box": n, tabindex: "-1", "aria-selected": "false" });
      if (box.group) item.setAttribute("aria-expanded", String(box.open));
      item.style.paddingLeft = `${8 + 14 * (depth - 1)}px`;
      const shape = box.outputs.length ? shapeText(box.outputs[0]) : "";
      const name = box.role === "repeat" ? this.measure.groupTitle(box) : box.calls > 1 ? box.id.split("/").at(-1) : box.name;
      const twist = make("span", box.group ? (box.open ? "▾" : "▸") : "", { class: "twist", "aria-hidden": "true" });
      item.append(twist, make("b", name));
      if (!plainName(box) && box.kind !== "Functional" && box.role !== "repeat" && box.role !== "block") item.append(make("span", box.kind, { class: "muted" }));
      if (shape) item.append(make("span", shape, { class: "shape" }));
      if (box.mark) item.dataset.mark = box.mark;
      return item;
    });
    tree.replaceChildren(...items);
    if (lines.length > this.more) {
      const more = make("li", `${lines.length - this.more} more lines`, { role: "treeitem", tabindex: "-1", class: "more", "aria-level": 1 });
      more.onclick = () => { this.more += 1000; this.outline(); };
      tree.append(more);
    }
    this.mark();
  }

  mark() {
    const tree = element("tree"), wanted = this.active.selected;
    let first = null;
    for (const item of tree.children) {
      const chosen = Number(item.dataset.box) === wanted;
      item.setAttribute("aria-selected", String(chosen));
      item.tabIndex = chosen ? 0 : -1;
      if (chosen) first = item;
    }
    if (first) first.scrollIntoView({ block: "nearest" });
    else if (tree.firstChild) tree.firstChild.tabIndex = 0;
  }

  // Search

  search(text) {
    const wanted = text.trim().toLowerCase(), list = element("results");
    this.results = [];
    if (wanted) {
      for (const pane of this.panes) {
        const ranked = pane.graph.boxes.filter((b) => `${b.id} ${b.kind}`.toLowerCase().includes(wanted));
        ranked.sort((a, b) => place(a, wanted) - place(b, wanted));
        this.results.push(...ranked.map((box) => [pane, box.number]));
      }
    }
    list.replaceChildren(...this.results.slice(0, 40).map(([pane, n], k) => {
      const box = pane.graph.boxes[n];
      const item = make("li", null, { role: "option", id: `result-${k}`, "aria-selected": "false" });
      item.append(make("b", box.id), make("span", box.kind, { class: "muted" }));
      item.onclick = () => this.choose(k);
      return item;
    }));
    list.hidden = !wanted;
    if (wanted && !this.results.length) list.append(make("li", "Nothing found", { class: "muted", role: "option" }));
    element("search").setAttribute("aria-expanded", String(!!wanted));
    this.pick(this.results.length ? 0 : -1);
    this.say(wanted ? `${this.results.length} found.` : "");
  }

  pick(k) {
    this.picked = k;
    [...element("results").children].forEach((item, i) => item.setAttribute("aria-selected", String(i === k)));
    if (k >= 0 && element(`result-${k}`)) {
      element("search").setAttribute("aria-activedescendant", `result-${k}`);
      element(`result-${k}`).scrollIntoView({ block: "nearest" });
    } else element("search").removeAttribute("aria-activedescendant");
  }

  choose(k) {
    if (!this.results[k]) return;
    const [pane, number] = this.results[k];
    element("results").hidden = true;
    element("search").setAttribute("aria-expanded", "false");
    this.go(pane, number);
    pane.canvas.focus({ preventScroll: true });
  }

  // Keyboard

  step(pane, key) {
    const { graph, scene } = pane;
    if (pane.selected < 0) {
      const first = scene.boxes.find((b) => b.depth === 0);
      return first && this.select(pane, first.box.number, { center: true });
    }
    const here = graph.shown(pane.selected), at = scene.where.get(here);
    const vertical = key === "ArrowDown" || key === "ArrowUp", ahead = key === "ArrowDown" || key === "ArrowRight";
    let best = -1, least = Infinity;
    const near = (n, linked) => {
      const b = scene.where.get(n);
      if (!b || n === here || (b.open && !linked)) return;
      const dx = b.x + b.w / 2 - at.x - at.w / 2, dy = b.y + b.h / 2 - at.y - at.h / 2;
      const along = vertical ? dy : dx, across = Math.abs(vertical ? dx : dy);
      if (ahead ? along <= 1 : along >= -1) return;
      if (!vertical && across > Math.abs(along)) return;
      const far = Math.abs(along) + 3 * across;
      if (far < least) { least = far; best = n; }
    };
    if (vertical) {
      const leaves = new Set(graph.inside(here));
      for (const leaf of leaves) {
        for (const e of (ahead ? graph.out : graph.into)[leaf]) {
          const other = graph.edges[e][ahead ? 1 : 0];
          if (!leaves.has(other)) near(graph.shown(other), true);
        }
      }
    } else for (const b of scene.boxes) near(b.box.number, false);
    if (best >= 0) this.select(pane, best, { center: true });
    else this.say(vertical ? (ahead ? "Nothing follows." : "Nothing comes before.") : "Nothing beside.");
  }

  keys(event) {
    const pane = this.active, typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      element("results").hidden = true;
      element("help").hidden = true;
      if (typing) pane.canvas.focus({ preventScroll: true });
      else this.select(pane, -1);
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const inTree = event.target.closest && event.target.closest("#tree");
    const acts = {
      "/": () => element("search").focus(), "+": () => pane.zoom(1.25), "=": () => pane.zoom(1.25), "-": () => pane.zoom(0.8),
      f: () => this.panes.forEach((p) => p.overview()), 0: () => this.panes.forEach((p) => p.overview()), "?": () => this.help(),
    };
    if (inTree) Object.assign(acts, this.treeKeys(event));
    else if (event.target === pane.canvas || event.target === document.body) {
      for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) acts[key] = () => this.step(pane, key);
      acts.Enter = acts[" "] = () => {
        const n = pane.selected;
        if (n < 0) return;
        if (pane.graph.boxes[n].group) { this.fold(pane, n); this.details(); } else this.select(pane, n, { light: !pane.lit });
      };
    }
    if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  }

  treeKeys(event) {
    const item = event.target.closest("li"), pane = this.active, n = Number(item.dataset.box), box = pane.graph.boxes[n];
    const focus = (other) => {
      if (!other) return;
      if (other.dataset.box === undefined) { other.focus(); return; }
      this.select(pane, Number(other.dataset.box), { center: true });
      other.focus();
    };
    const refocus = () => { const found = element("tree").querySelector(`[data-box="${n}"]`); if (found) found.focus(); };
    if (!box) return { ArrowUp: () => focus(item.previousSibling), Enter: () => item.click() };
    return {
      ArrowDown: () => focus(item.nextSibling), ArrowUp: () => focus(item.previousSibling), Home: () => focus(item.parentNode.firstChild),
      ArrowRight: () => { if (box.group && !box.open) { this.fold(pane, n); refocus(); } else if (box.open) focus(item.nextSibling); },
      ArrowLeft: () => {
        if (box.open) { this.fold(pane, n); refocus(); } else focus(element("tree").querySelector(`[data-box="${box.parent}"]`));
      },
      Enter: () => { if (box.group) { this.fold(pane, n); refocus(); } else this.go(pane, n); },
    };
  }

  help() { element("help").hidden = !element("help").hidden; }

  listen() {
    document.addEventListener("keydown", (event) => this.keys(event));
    this.panes.forEach((pane) => pane.canvas.addEventListener("focus", () => {
      if (this.active === pane) return;
      this.active = pane;
      this.outline();
      this.details();
    }));
    new ResizeObserver(() => this.panes.forEach((pane) => pane.paint())).observe(element("panes"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => this.setTheme(event.matches));
    const click = (id, act) => { element(id).onclick = act; };
    click("in", () => this.active.zoom(1.25));
    click("out", () => this.active.zoom(0.8));
    click("fit", () => this.panes.forEach((pane) => pane.overview()));
    click("open", () => this.foldAll(true));
    click("close", () => this.foldAll(false));
    click("theme", () => this.setTheme(!this.dark));
    click("keys-button", () => this.help());
    click("aside", () => { document.body.classList.toggle("narrow"); requestAnimationFrame(() => this.drawAll()); });
    element("color").onchange = (event) => this.setColor(event.target.value);
    const search = element("search");
    search.oninput = () => this.search(search.value);
    search.onfocus = () => { if (search.value) this.search(search.value); };
    search.onkeydown = (event) => {
      const last = Math.min(this.results.length, 40) - 1;
      if (event.key === "Enter") this.choose(this.picked);
      else if (event.key === "ArrowDown") this.pick(Math.min(last, this.picked + 1));
      else if (event.key === "ArrowUp") this.pick(Math.max(0, this.picked - 1));
      else return;
      event.preventDefault();
    };
    element("tree").addEventListener("click", (event) => {
      const item = event.target.closest("[data-box]");
      if (!item) return;
      const n = Number(item.dataset.box);
      if (event.target.classList.contains("twist") && this.active.graph.boxes[n].group) this.fold(this.active, n);
      else this.select(this.active, n, { center: true });
    });
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest("#results, #search")) element("results").hidden = true;
    });
  }
}

/** How well a box fits what is searched: its name first, then where it begins in the id. */
function place(box, wanted) {
  const name = box.name.toLowerCase();
  return (name === wanted ? 0 : name.startsWith(wanted) ? 100 : name.includes(wanted) ? 200 : 400) + Math.min(99, box.id.length);
}

/** Return the color at a share of a scale, and whether it is light. */
function ramp(scale, share) {
  const at = Math.min(Math.max(share, 0), 1) * (scale.length - 1), k = Math.min(Math.floor(at), scale.length - 2);
  const part = (color, c) => parseInt(color.slice(1 + 2 * c, 3 + 2 * c), 16);
  const mixed = [0, 1, 2].map((c) => Math.round(part(scale[k], c) + (part(scale[k + 1], c) - part(scale[k], c)) * (at - k)));
  const light = mixed[0] * 0.299 + mixed[1] * 0.587 + mixed[2] * 0.114 > 140;
  return { fill: `rgb(${mixed.join(",")})`, light };
}

window.viewer = new App(JSON.parse(document.getElementById("data").textContent));
