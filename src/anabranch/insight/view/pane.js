"use strict";
// One drawing: a canvas with a camera over a graph. Only what is in sight is drawn.

const KINDS = [
  [/^input/i, "input"], [/conv/i, "conv"], [/dense|linear|einsum|matmul|dot|^@$/i, "dense"], [/norm/i, "norm"],
  [/relu|activation|softmax|sigmoid|tanh|elu|gelu|silu|swish/i, "activation"], [/pool|upsampl|crop|padding/i, "pool"],
  [/^(add|concat|multiply|subtract|average|maximum|minimum|[+×*−-])/i, "join"], [/embedding|attention/i, "attention"],
  [/lstm|gru|rnn|recurrent|bidirectional|timedistributed/i, "recurrent"],
  [/dropout|noise|random|regulariz/i, "noise"], [/flatten|reshape|permute|repeat|getitem|expand|squeeze|transpose/i, "shape"],
];
const HUES = {
  input: 160, conv: 215, dense: 265, norm: 185, activation: 38, pool: 345, join: 220, attention: 300, recurrent: 325, noise: 25,
  shape: 95, model: 235, other: 210,
};
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
const TITLE = `600 13px ${FONT}`, SMALL = `11px ${FONT}`;

function category(box) {
  if (box.category) return box.category;
  let found = box.role === "input" ? "input" : box.group || box.role === "model" ? "model" : "other";
  if (found === "other") for (const [pattern, name] of KINDS) if (pattern.test(box.kind)) { found = name; break; }
  box.category = found;
  return found;
}

const shapeText = (shape) => `(${shape.map((n) => (n === null ? "·" : n)).join(", ")})`;
const shapeWords = (shape) => `(${shape.map((n) => (n === null ? "None" : n)).join(", ")}${shape.length === 1 ? "," : ""})`;

/** Whether a name says nothing but the kind: `conv2d_3`. */
const plainName = (box) => box.name.replace(/_\d+$/, "").replaceAll("_", "") === box.kind.toLowerCase();

/** Sizes and lines of boxes, by the width of their text. */
class Measure {
  constructor() {
    this.ctx = document.createElement("canvas").getContext("2d");
    this.known = new Map();
  }

  width(text, font) {
    const key = font + text;
    if (!this.known.has(key)) {
      this.ctx.font = font;
      this.known.set(key, this.ctx.measureText(text).width);
    }
    return this.known.get(key);
  }

  title(box) { return this.width(this.groupTitle(box), TITLE) + 26; }

  groupTitle(box) {
    if (box.role === "repeat") return box.of ? `${box.of} ${box.kind}` : `${box.kind}`;
    return box.role === "block" || box.kind === "Functional" || box.kind === box.name ? box.name : `${box.name}  ·  ${box.kind}`;
  }

  lines(box, graph) {
    if (box.lines) return box.lines;
    const shape = box.outputs.length ? shapeText(box.outputs[0]) + (box.outputs.length > 1 ? ` +${box.outputs.length - 1}` : "") : "";
    if (box.group) {
      const many = graph.leaves[box.number], each = box.role === "repeat" && !box.of ? many / box.calls : many;
      const held = each === many ? `${many} layers` : `blocks of ${each} layers`;
      box.lines = [this.groupTitle(box), `${held}${box.params ? ` · ${short(box.params)}` : ""}`];
    } else if (box.role === "input") box.lines = [box.name, shape];
    else if (isJoin(box)) box.lines = [box.kind, ""];
    else {
      const act = box.activation ? `  ${box.activation}` : "", named = plainName(box) ? "" : box.name;
      box.lines = [box.kind + act, [box.calls > 1 ? "shared" : "", named, shape].filter(Boolean).join("  ")];
    }
    return box.lines;
  }

  box(box, graph) {
    if (box.measured) return box.measured;
    const [first, second] = this.lines(box, graph);
    const wide = Math.max(this.width(first, TITLE), this.width(second, SMALL));
    box.measured = isJoin(box) ? { w: Math.max(44, wide + 24), h: 26 } : { w: Math.max(84, wide + (box.group ? 52 : 30)), h: second ? 42 : 30 };
    return box.measured;
  }
}

const isJoin = (box) => !box.group && category(box) === "join";

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e12) return `${trim(value / 1e12)}T`;
  if (size >= 1e9) return `${trim(value / 1e9)}G`;
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e4) return `${trim(value / 1e3)}k`;
  return Number.isInteger(value) ? value.toLocaleString("en-US") : String(Number(value.toPrecision(3)));
}
const trim = (value) => Number(value.toPrecision(3)).toString();

class Pane {
  constructor(canvas, graph, app) {
    this.canvas = canvas;
    this.graph = graph;
    this.app = app;
    this.ctx = canvas.getContext("2d");
    this.camera = { x: 0, y: 0, k: 1 };
    this.selected = -1;
    this.hovered = -1;
    this.lit = null;
    this.frames = [];
    this.scene = graph.scene();
    this.listen();
  }

  listen() {
    const canvas = this.canvas;
    let from = null, moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      moved = false;
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", (event) => {
      if (from) {
        const dx = event.clientX - from[0], dy = event.clientY - from[1];
        if (moved || Math.hypot(dx, dy) > 3) {
          moved = true;
          from = [event.clientX, event.clientY];
          this.camera.x -= dx / this.camera.k;
          this.camera.y -= dy / this.camera.k;
          this.app.moved(this);
        }
        return;
      }
      const hit = this.hit(...this.local(event));
      if (hit !== this.hovered) { this.hovered = hit; this.draw(); }
      this.app.hover(this, hit, event.clientX, event.clientY);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (from && !moved) {
        const point = this.local(event), hit = this.hit(...point);
        if (hit >= 0 && this.onHead(hit, ...point)) this.app.fold(this, hit);
        else this.app.select(this, hit);
      }
      from = null;
    });
    canvas.addEventListener("pointerleave", () => { this.hovered = -1; this.app.hover(this, -1); this.draw(); });
    canvas.addEventListener("dblclick", (event) => {
      const hit = this.hit(...this.local(event));
      if (hit >= 0 && this.graph.boxes[hit].group) this.app.fold(this, hit);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey || !event.shiftKey && Math.abs(event.deltaY) > Math.abs(event.deltaX)) {
        const rate = event.ctrlKey ? 0.01 : 0.0016;
        this.zoom(Math.exp(-event.deltaY * rate * (event.deltaMode ? 16 : 1)), ...this.local(event));
      } else {
        this.camera.x += (event.deltaX + (event.shiftKey ? event.deltaY : 0)) / this.camera.k;
        this.app.moved(this);
      }
    }, { passive: false });
  }

  local(event) {
    const area = this.canvas.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  }

  get width() { return this.canvas.clientWidth; }
  get height() { return this.canvas.clientHeight; }

  toWorld(px, py) { return [this.camera.x + px / this.camera.k, this.camera.y + py / this.camera.k]; }

  rect(number) {
    const at = this.scene.where.get(this.graph.shown(number));
    const { x, y, k } = this.camera;
    return { x: (at.x - x) * k, y: (at.y - y) * k, w: at.w * k, h: at.h * k };
  }

  hit(px, py) {
    const [x, y] = this.toWorld(px, py);
    const boxes = this.scene.boxes;
    for (let i = boxes.length - 1; i >= 0; i--) {
      const b = boxes[i];
      if (x >= b.x && x <= b.x + b.w && y >= b.y && y <= b.y + b.h) return b.box.number;
    }
    return -1;
  }

  /** Whether a point is on the sign that opens or closes a group. */
  onHead(number, px, py) {
    const at = this.scene.where.get(number);
    if (!at || !at.box.group) return false;
    const [x, y] = this.toWorld(px, py);
    return x >= at.x + at.w - 26 && y <= at.y + 28;
  }

  relayout() { this.scene = this.graph.scene(); }

  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toWorld(px, py);
    const k = Math.min(4, Math.max(0.008, this.camera.k * factor));
    this.camera = { x: x - px / k, y: y - py / k, k };
    this.app.moved(this);
  }

  fit() {
    const { w, h } = this.scene, pad = 28;
    const k = Math.min(1.15, (this.width - 2 * pad) / w, (this.height - 2 * pad) / h);
    const readable = Math.max(k, Math.min(0.62, (this.width - 2 * pad) / w));  // a tall model begins at its top
    const scale = readable > k ? readable : k;
    this.camera = { k: scale, x: w / 2 - this.width / 2 / scale, y: scale > k ? -pad / scale : h / 2 - this.height / 2 / scale };
    this.app.moved(this);
  }

  overview() {
    const { w, h } = this.scene, pad = 28;
    const k = Math.max(0.008, Math.min(1.15, (this.width - 2 * pad) / w, (this.height - 2 * pad) / h));
    this.camera = { k, x: w / 2 - this.width / 2 / k, y: h / 2 - this.height / 2 / k };
    this.app.moved(this);
  }

  center(number, near = false) {
    const at = this.scene.where.get(this.graph.shown(number));
    if (!at) return;
    const r = this.rect(number);
    if (near && r.x > 40 && r.y > 40 && r.x + r.w < this.width - 40 && r.y + r.h < this.height - 40) return;
    if (this.camera.k < 0.55) this.camera.k = 0.9;
    const k = this.camera.k;
    this.camera = { k, x: at.x + at.w / 2 - this.width / 2 / k, y: at.y + Math.min(at.h, this.height / k) / 2 - this.height / 2 / k };
    this.app.moved(this);
  }

  draw() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => { this.pending = 0; this.paint(); });
  }

  paint() {
    const begun = performance.now();
    const { ctx, canvas, camera } = this, ratio = window.devicePixelRatio || 1;
    const w = this.width, h = this.height;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const theme = this.app.theme();
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = theme.paper;
    ctx.fillRect(0, 0, w, h);
    ctx.setTransform(ratio * camera.k, 0, 0, ratio * camera.k, -camera.x * camera.k * ratio, -camera.y * camera.k * ratio);
    const sight = { x0: camera.x, y0: camera.y, x1: camera.x + w / camera.k, y1: camera.y + h / camera.k };
    const seen = this.scene.boxes.filter((b) => b.x < sight.x1 && b.x + b.w > sight.x0 && b.y < sight.y1 && b.y + b.h > sight.y0);
    for (const b of seen) if (b.open) this.paintGroup(b, theme);
    this.paintEdges(sight, theme);
    for (const b of seen) if (!b.open) this.paintBox(b, theme);
    this.drawn = seen.length;
    this.frames.push(performance.now() - begun);
    if (this.frames.length > 600) this.frames.shift();
  }

  dimmed(box) {
    if (!this.lit) return false;
    if (!box.group) return !this.lit.leaves.has(box.number);
    return !this.lit.shown.has(box.number);
  }

  paintGroup(b, theme) {
    const { ctx } = this, box = b.box, chosen = box.number === this.selected;
    rounded(ctx, b.x, b.y, b.w, b.h, 12);
    ctx.fillStyle = theme.group[b.depth % 2];
    ctx.fill();
    ctx.lineWidth = chosen ? 2 : 1;
    ctx.strokeStyle = chosen ? theme.accent : theme.groupLine;
    if (box.role === "block" && !chosen) ctx.setLineDash([4, 3]);
    ctx.stroke();
    ctx.setLineDash([]);
    if (this.camera.k < 0.22) return;
    ctx.fillStyle = theme.muted;
    ctx.font = TITLE;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.fillText(this.graph.measure.groupTitle(box), b.x + 12, b.y + 15);
    sign(ctx, b.x + b.w - 16, b.y + 15, false, theme.muted);
  }

  paintBox(b, theme) {
    const { ctx } = this, box = b.box, k = this.camera.k;
    const chosen = box.number === this.selected, over = box.number === this.hovered;
    const style = this.app.style(this, box, theme);
    ctx.globalAlpha = this.dimmed(box) ? 0.22 : 1;
    if (box.group && k > 0.25) {
      ctx.fillStyle = style.fill;
      ctx.strokeStyle = style.line;
      ctx.lineWidth = 1;
      for (const d of [5, 2.5]) { rounded(ctx, b.x + d, b.y + d, b.w, b.h, 8); ctx.fill(); ctx.stroke(); }
    }
    const radius = isJoin(box) || box.role === "input" ? Math.min(b.h / 2, 21) : 8;
    if (k < 0.12) { ctx.beginPath(); ctx.rect(b.x, b.y, b.w, b.h); } else rounded(ctx, b.x, b.y, b.w, b.h, radius);
    ctx.fillStyle = k < 0.3 ? style.far : style.fill;
    ctx.fill();
    ctx.lineWidth = chosen ? 3 : over ? 2 : 1.2;
    ctx.strokeStyle = chosen ? theme.accent : style.line;
    if (k > 0.12 || chosen) ctx.stroke();
    if (k >= 0.3) this.boxText(b, style);
    if (box.mark || box.marks) this.paintMark(b, theme);
    ctx.globalAlpha = 1;
  }

  boxText(b, style) {
    const { ctx } = this, box = b.box, [first, second] = this.graph.measure.lines(box, this.graph);
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillStyle = style.ink;
    ctx.font = TITLE;
    const x = b.x + b.w / 2 - (box.group ? 8 : 0);
    ctx.fillText(first, x, b.y + (second ? 15 : b.h / 2 + 0.5));
    if (second) {
      ctx.fillStyle = style.faint;
      ctx.font = SMALL;
      ctx.fillText(second, x, b.y + 30);
    }
    if (box.group) sign(ctx, b.x + b.w - 14, b.y + 14, true, style.faint);
  }

  paintMark(b, theme) {
    const { ctx } = this, mark = b.box.mark || "changed";
    ctx.fillStyle = theme.marks[mark];
    ctx.beginPath();
    ctx.arc(b.x, b.y, 9, 0, 7);
    ctx.fill();
    ctx.fillStyle = theme.paper;
    ctx.font = `700 13px ${FONT}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText({ added: "+", removed: "−", changed: "~" }[mark], b.x, b.y + 0.5);
  }

  paintEdges(sight, theme) {
    const { ctx } = this, bright = [], heads = [];
    const thin = this.camera.k > 0.25;
    ctx.beginPath();
    for (const strand of this.scene.strands) {
      const { x0, y0, x1, y1 } = strand;
      if (Math.min(x0, x1) > sight.x1 || Math.max(x0, x1) < sight.x0 || y0 > sight.y1 || y1 < sight.y0) continue;
      const lit = this.lit && strand.edges.some((e) => this.lit.edges.has(e));
      const touched = this.hovered >= 0 && strand.edges.some((e) => this.touches(e, this.hovered));
      const tone = lit || touched ? theme.accent : this.app.edgeTone(this, strand, theme);
      if (tone) bright.push([strand, tone]);
      else { trace(ctx, strand); if (strand.arrow) heads.push(strand); }
    }
    ctx.lineWidth = Math.max(1.4, 0.7 / this.camera.k);
    ctx.strokeStyle = ctx.fillStyle = theme.edge;
    ctx.globalAlpha = this.lit ? 0.3 : 1;
    ctx.stroke();
    if (thin) for (const strand of heads) arrow(ctx, strand.x1, strand.y1);
    ctx.globalAlpha = 1;
    ctx.lineWidth = Math.max(2.4, 1.2 / this.camera.k);
    for (const [strand, color] of bright) {
      ctx.strokeStyle = ctx.fillStyle = color;
      ctx.beginPath();
      trace(ctx, strand);
      ctx.stroke();
      if (strand.arrow && thin) arrow(ctx, strand.x1, strand.y1);
    }
  }

  touches(edge, number) {
    const [source, target] = this.graph.edges[edge];
    return this.graph.shown(source) === number || this.graph.shown(target) === number;
  }
}

function rounded(ctx, x, y, w, h, r) {
  ctx.beginPath();
  ctx.roundRect(x, y, w, h, r);
}

/** The sign in a group's corner: plus where it can be opened, minus where it can be closed. */
function sign(ctx, x, y, plus, color) {
  ctx.strokeStyle = color;
  ctx.lineWidth = 1.4;
  ctx.beginPath();
  ctx.roundRect(x - 6, y - 6, 12, 12, 3);
  ctx.moveTo(x - 3, y);
  ctx.lineTo(x + 3, y);
  if (plus) { ctx.moveTo(x, y - 3); ctx.lineTo(x, y + 3); }
  ctx.stroke();
}

function arrow(ctx, x, y) {
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(x - 4, y - 7);
  ctx.lineTo(x + 4, y - 7);
  ctx.fill();
}

/** Draw a piece of an edge: vertical at both ends, so that pieces join smoothly. */
function trace(ctx, { x0, y0, x1, y1, arrow: ends }) {
  const end = ends ? y1 - 5 : y1;
  ctx.moveTo(x0, y0);
  if (Math.abs(x0 - x1) < 0.5) ctx.lineTo(x1, end);
  else {
    const bend = Math.min((y1 - y0) * 0.7, 50);
    ctx.bezierCurveTo(x0, y0 + bend, x1, end - bend, x1, end);
  }
}
