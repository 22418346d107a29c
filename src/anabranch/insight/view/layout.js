"use strict";
// Positions. Rows, orders and alignments come with the data, level by level (a level is what is in one group); sizes change
// when groups are opened and closed, so coordinates are computed here: every level by itself, inner ones first.

const BOX = 0, IN = 1, OUT = 2, LINE = 3;
const NOTHING = { cells: [], rows: [], strands: [], edges: [], above: [], starts: [], arrivals: [], ports: [{}, {}], byRow: [] };
const GAP = { rank: 28, item: 26, line: 16, end: 16, pad: 14, head: 30 };

/** A model: its boxes, edges and levels, and which groups are open. */
class Graph {
  constructor(data, measure) {
    Object.assign(this, data);
    this.measure = measure;
    this.children = new Map([[-1, []]]);
    this.byPath = new Map();
    this.byId = new Map();
    this.boxes.forEach((box, number) => {
      box.number = number;
      box.open = false;
      if (!this.children.has(box.parent)) this.children.set(box.parent, []);
      this.children.get(box.parent).push(number);
      this.byId.set(box.id, number);
      if (box.path && !this.byPath.has(box.path)) this.byPath.set(box.path, number);
    });
    for (const box of this.boxes) {
      if (box.role !== "repeat") continue;
      const kinds = new Set((this.children.get(box.number) || []).map((n) => (this.boxes[n].group ? "" : this.boxes[n].kind)));
      box.of = kinds.size === 1 ? [...kinds][0] : "";  // what repeats, where it is one layer
    }
    this.leaves = this.boxes.map((box) => (box.group ? 0 : 1));
    for (let n = this.boxes.length - 1; n >= 0; n--) {
      const parent = this.boxes[n].parent;
      if (parent >= 0) this.leaves[parent] += this.leaves[n];
    }
    this.out = this.boxes.map(() => []);
    this.into = this.boxes.map(() => []);
    this.edges.forEach((edge, number) => {
      this.out[edge[0]].push(number);
      this.into[edge[1]].push(number);
    });
    for (const level of Object.values(this.levels)) {
      const row = [];
      level.rows.forEach((cells, rank) => cells.forEach((i) => { row[i] = rank; }));
      level.byRow = level.rows.map(() => []);
      level.strands.forEach(([upper], s) => level.byRow[row[upper]].push(s));
    }
    this.laid = new Map();
    this.openSome(70);
  }

  /** Open groups from the outside in, smallest first, while at most so many boxes are shown. */
  openSome(most) {
    let shown = this.children.get(-1).length;
    let queue = this.children.get(-1).filter((n) => this.boxes[n].group);
    this.boxes.forEach((box) => { box.open = false; });
    while (queue.length) {
      queue.sort((a, b) => this.children.get(a).length - this.children.get(b).length);
      const next = queue.shift();
      const inside = this.children.get(next) || [];
      if (shown + inside.length > most) break;
      shown += inside.length;
      this.boxes[next].open = true;
      queue = queue.concat(inside.filter((n) => this.boxes[n].group));
    }
    this.laid.clear();
  }

  setOpen(number, open) {
    this.boxes[number].open = open;
    for (let n = number; n >= 0; n = this.boxes[n].parent) this.laid.delete(n);
    this.laid.delete(-1);
  }

  setAll(open) {
    this.boxes.forEach((box) => { if (box.group) box.open = open; });
    this.laid.clear();
  }

  /** Open the groups around a box. */
  reveal(number) {
    let changed = false;
    for (let n = this.boxes[number].parent; n >= 0; n = this.boxes[n].parent) {
      if (!this.boxes[n].open) { this.setOpen(n, true); changed = true; }
    }
    return changed;
  }

  /** The box that is shown for a box: itself, or the outermost closed group around it. */
  shown(number) {
    let found = number;
    for (let n = this.boxes[number].parent; n >= 0; n = this.boxes[n].parent) if (!this.boxes[n].open) found = n;
    return found;
  }

  /** All leaves in a box. */
  inside(number) {
    const found = [], stack = [number];
    while (stack.length) {
      const n = stack.pop();
      if (this.boxes[n].group) stack.push(...(this.children.get(n) || []));
      else found.push(n);
    }
    return found;
  }

  /** Leaves and edges on all paths through a box. */
  paths(number) {
    const leaves = new Set(this.inside(number)), edges = new Set();
    for (const [next, end] of [[this.out, 1], [this.into, 0]]) {
      const seen = new Set(leaves.size ? this.inside(number) : []), stack = [...seen];
      while (stack.length) {
        for (const e of next[stack.pop()]) {
          edges.add(e);
          const other = this.edges[e][end];
          if (!seen.has(other)) { seen.add(other); stack.push(other); }
        }
      }
      seen.forEach((n) => leaves.add(n));
    }
    return { leaves, edges };
  }

  /** Lay out a level and return its size and the place of each item in it; inner levels first, without recursion. */
  layout(top = -1) {
    const stack = [[top, false]];
    while (stack.length) {
      const [n, ready] = stack.pop();
      if (this.laid.has(n)) continue;
      const open = (this.children.get(n) || []).filter((c) => this.boxes[c].group && this.boxes[c].open && !this.laid.has(c));
      if (!ready && open.length) {
        stack.push([n, true]);
        open.forEach((c) => stack.push([c, false]));
      } else this.laid.set(n, this.place(n));
    }
    return this.laid.get(top);
  }

  /** Give every cell of a level its place, relative to the level's corner. */
  place(number) {
    const level = this.levels[number] || NOTHING, top = number < 0;
    const sizes = level.cells.map(([kind, box]) => (kind === BOX ? this.size(box) : { w: 0, h: 0 }));
    const ends = this.ends(level, sizes);
    const x = across(level, sizes, ends), y = [], last = level.rows.length - 1;
    let down = 0, left = Infinity, right = -Infinity;
    level.rows.forEach((row, rank) => {
      let height = Math.max(0, ...row.map((i) => sizes[i].h));
      if (!top) height = rank === 0 ? GAP.head : rank === last ? GAP.pad : height;
      row.forEach((i) => { y[i] = down + (height - sizes[i].h) / 2; });
      down += height;
      if ((rank === 0 && !row.length) || rank === last || (rank === last - 1 && !level.rows[last].length)) return;
      let far = 0;
      for (const s of level.byRow[rank]) far = Math.max(far, Math.abs(x[level.strands[s][0]] + ends[s][0] - x[level.strands[s][1]] - ends[s][1]));
      down += GAP.rank + Math.min(40, 0.12 * far);
    });
    x.forEach((middle, i) => {
      left = Math.min(left, middle - sizes[i].w / 2);
      right = Math.max(right, middle + sizes[i].w / 2);
    });
    if (!x.length) left = right = 0;
    const frame = top ? 0 : GAP.pad, title = top ? 0 : this.measure.title(this.boxes[number]);
    const enter = Math.min(Infinity, ...level.cells.map(([kind], i) => (kind === IN ? x[i] - left : Infinity)));
    const side = Math.max(frame, Math.min(title, title - enter));  // an edge that enters does not cross the title
    const wide = Math.max(right - left + 2 * side, title + 24), shift = (wide - right - left) / 2;
    level.cells.forEach(([kind], i) => { if (kind === IN) y[i] = 0; else if (kind === OUT) y[i] = down; });
    return { w: wide, h: down, ends, at: sizes.map((s, i) => ({ x: x[i] + shift - s.w / 2, y: y[i], w: s.w, h: s.h, cx: x[i] + shift })) };
  }

  /** How far from the middle of its upper and of its lower cell each strand begins and ends. */
  ends(level, sizes) {
    const ends = level.strands.map(() => [0, 0]), straight = new Map();
    level.above.forEach((s) => { if (s >= 0) straight.set(level.strands[s][0], level.strands[s][2]); });
    level.strands.forEach(([upper, lower, tensor], s) => {
      const starts = level.starts[upper];
      ends[s][0] = this.inner(level, upper, tensor, sizes, 1)
        ?? beside(starts.indexOf(tensor), starts.length, starts.indexOf(straight.get(upper)), sizes[upper].w);
      const arrivals = level.arrivals[lower];
      ends[s][1] = this.inner(level, lower, tensor, sizes, 0)
        ?? beside(arrivals.indexOf(s), arrivals.length, arrivals.indexOf(level.above[lower]), sizes[lower].w);
    });
    return ends;
  }

  /** Where the port of a tensor is in a group that is open, from its middle; null for other cells. */
  inner(level, cell, tensor, sizes, side) {
    const [kind, box] = level.cells[cell];
    if (kind !== BOX || !this.boxes[box].group || !this.boxes[box].open || !this.levels[box]) return null;
    const port = this.levels[box].ports[side][tensor];
    return port === undefined ? null : this.laid.get(box).at[port].cx - sizes[cell].w / 2;
  }

  size(number) {
    const box = this.boxes[number];
    return box.group && box.open ? this.layout(number) : this.measure.box(box, this);
  }

  /** Everything that is shown, in the plane: boxes, outer ones first, and strands of edges. */
  scene() {
    const whole = this.layout();
    const boxes = [], strands = [], where = new Map();
    const stack = [[-1, 0, 0, 0]];
    while (stack.length) {
      const [n, left, top, depth] = stack.pop();
      const level = this.levels[n], placed = this.laid.get(n);
      if (!level) continue;
      level.cells.forEach(([kind, kid], i) => {
        if (kind !== BOX) return;
        const at = placed.at[i], box = this.boxes[kid];
        const one = { box, x: left + at.x, y: top + at.y, w: at.w, h: at.h, depth, open: box.group && box.open };
        where.set(kid, one);
        boxes.push(one);
        if (one.open) stack.push([kid, one.x, one.y, depth + 1]);
      });
      level.strands.forEach(([upper, lower], s) => {
        const a = placed.at[upper], b = placed.at[lower], [from, to] = placed.ends[s];
        const [kind, kid] = level.cells[lower];
        const arrow = kind === BOX && !(this.boxes[kid].group && this.boxes[kid].open);
        strands.push({ x0: left + a.cx + from, y0: top + a.y + a.h, x1: left + b.cx + to, y1: top + b.y, arrow, edges: level.edges[s] });
      });
    }
    boxes.sort((a, b) => a.depth - b.depth);
    return { boxes, strands, where, w: whole.w, h: whole.h };
  }
}

/** Return a place beside others at one box, of which the one that runs straight is in the middle. */
function beside(number, count, straight, width) {
  const middle = straight < 0 ? (count - 1) / 2 : straight, most = Math.max(middle, count - 1 - middle);
  return most ? (number - middle) * Math.min(GAP.end, Math.max(width / 2 - 8, 0) / most) : 0;
}

/** Return the middle of each cell: what runs straight is one block, drawn to what it is connected to; as in the static drawing. */
function across(level, sizes, ends) {
  const block = [], within = [];
  let count = 0;
  for (const row of level.rows) {
    for (const cell of row) {
      const s = level.above[cell];
      if (s < 0) { block[cell] = count++; within[cell] = 0; continue; }
      const upper = level.strands[s][0];
      block[cell] = block[upper];
      within[cell] = within[upper] + ends[s][0] - ends[s][1];
    }
  }
  const { left, right, order } = apart(level, sizes, block, within, count);
  const places = new Array(count).fill(0), far = new Array(count).fill(0);
  for (const b of order) for (const [other, d] of left[b]) places[b] = Math.max(places[b], places[other] + d);
  const most = Math.max(0, ...chunked(places));
  for (let k = order.length - 1; k >= 0; k--) far[order[k]] = Math.min(most, ...right[order[k]].map(([other, d]) => far[other] - d));
  for (let b = 0; b < count; b++) places[b] = (places[b] + far[b]) / 2;
  together(level, ends, block, within, places, left, right, order);
  return block.map((b, cell) => places[b] + within[cell]);
}

/** The greatest of an array is asked in parts: a call takes no more than some ten thousand arguments. */
function* chunked(values) {
  for (let k = 0; k < values.length; k += 5000) yield Math.max(...values.slice(k, k + 5000));
}

/** How far apart blocks must be, and an order in which each comes after those left of it. */
function apart(level, sizes, block, within, count) {
  const least = new Map();
  for (const row of level.rows) {
    for (let k = 1; k < row.length; k++) {
      const a = row[k - 1], b = row[k], boxes = level.cells[a][0] === BOX && level.cells[b][0] === BOX;
      const distance = (sizes[a].w + sizes[b].w) / 2 + (boxes ? GAP.item : GAP.line) + within[a] - within[b];
      const pair = block[a] * count + block[b];
      least.set(pair, Math.max(distance, least.get(pair) ?? distance));
    }
  }
  const left = Array.from({ length: count }, () => []), right = Array.from({ length: count }, () => []);
  least.forEach((distance, pair) => {
    const a = Math.floor(pair / count), b = pair % count;
    right[a].push([b, distance]);
    left[b].push([a, distance]);
  });
  const waiting = left.map((held) => held.length), order = [];
  waiting.forEach((n, b) => { if (!n) order.push(b); });
  for (let k = 0; k < order.length; k++) for (const [other] of right[order[k]]) if (!--waiting[other]) order.push(other);
  return { left, right, order };
}

/** Move each block towards the mean of what it is connected to, as far as its neighbors let it, until all rest. */
function together(level, ends, block, within, places, left, right, order) {
  const pulls = places.map(() => []);
  level.strands.forEach(([upper, lower], s) => {
    const a = block[upper], b = block[lower];
    if (a === b) return;
    const way = within[upper] + ends[s][0] - within[lower] - ends[s][1];
    const weight = level.cells[upper][0] === LINE || level.cells[lower][0] === LINE ? 0.1 : 1;
    pulls[a].push([b, -way, weight]);
    pulls[b].push([a, way, weight]);
  });
  for (let pass = 0; pass < 40; pass++) {
    let moved = 0;
    for (let k = 0; k < order.length; k++) {
      const b = order[pass % 2 ? k : order.length - 1 - k];
      if (!pulls[b].length) continue;
      let sum = 0, weights = 0, least = -Infinity, most = Infinity;
      for (const [other, way, weight] of pulls[b]) { sum += weight * (places[other] + way); weights += weight; }
      for (const [other, d] of left[b]) least = Math.max(least, places[other] + d);
      for (const [other, d] of right[b]) most = Math.min(most, places[other] - d);
      if (least > most) continue;
      const now = Math.min(Math.max(sum / weights, least), most);
      moved = Math.max(moved, Math.abs(now - places[b]));
      places[b] = now;
    }
    if (moved < 0.5) break;
  }
}
