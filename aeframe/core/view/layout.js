"use strict";
/* Places the visible boxes of a scene in layers, from inputs to outputs (Sugiyama et al. 1981).

A group that is open is laid out by itself first; wires enter and leave it through ports on its
borders, so that each level is a graph of its own. */

const GAP = { x: 26, row: 54, stub: 18, thin: 14, pad: 18, header: 30 };
const MOST_BENDS = 20000;

/** For each group its items and the links between them, lifted from the cards' arguments. */
function levelsOf(scene) {
  const levels = scene.groups.map(() => ({ items: [], links: [], seen: new Set() }));
  const chain = (g) => {
    const found = [];
    for (; g !== null; g = scene.groups[g].parent) found.unshift(g);
    return found;
  };
  const link = (g, from, to, net) => {
    const key = `${from}>${to}>${net}`;
    if (levels[g].seen.has(key)) return;
    levels[g].seen.add(key);
    levels[g].links.push({ from, to, net });
  };
  scene.groups.forEach((group, g) => {
    if (group.parent !== null) levels[group.parent].items.push(`g${g}`);
  });
  scene.cards.forEach((card, c) => levels[card.group].items.push(`c${c}`));
  scene.cards.forEach((card, c) => {
    for (const arg of card.args) {
      if (arg.card === undefined) continue;
      const net = `${arg.card}:${arg.out}`;
      const out = chain(scene.cards[arg.card].group);
      const into = chain(card.group);
      let shared = 0;
      while (shared < out.length && out[shared] === into[shared]) shared++;
      let from = `c${arg.card}`;
      let to = `c${c}`;
      for (const g of out.slice(shared).reverse()) {
        link(g, from, `o${net}`, net);
        from = `g${g}`;
      }
      for (const g of into.slice(shared).reverse()) {
        link(g, `i${net}`, to, net);
        to = `g${g}`;
      }
      link(out[shared - 1], from, to, net);
    }
  });
  return levels;
}

/** Everything visible with absolute places: {boxes, wires, w, h}. */
function layout(scene, levels, open, sizeOf) {
  const boxes = [];
  const wires = [];
  const put = (placed, g, x, y, depth) => {
    boxes.push({ id: `g${g}`, x, y, w: placed.w, h: placed.h, depth, open: true });
    for (const wire of placed.wires) {
      wires.push({ ...wire, points: wire.points.map(([a, b]) => [a + x, b + y]) });
    }
    for (const [key, box] of placed.boxes) {
      if (box.inner) put(box.inner, Number(key.slice(1)), x + box.x, y + box.y, depth + 1);
      else if (key[0] === "c" || key[0] === "g") {
        boxes.push({ id: key, x: x + box.x, y: y + box.y, w: box.w, h: box.h, depth: depth + 1, open: false });
      }
    }
  };
  const root = placeLevel(0, levels, open, sizeOf);
  put(root, 0, 0, 0, 0);
  return { boxes, wires, w: root.w, h: root.h };
}

/** One open group: its boxes with places relative to it, its wires, the x of its ports. */
function placeLevel(g, levels, open, sizeOf) {
  const { items, links } = levels[g];
  const boxes = new Map();
  for (const key of items) {
    const inner = key[0] === "g" && open.has(Number(key.slice(1))) ? placeLevel(Number(key.slice(1)), levels, open, sizeOf) : null;
    boxes.set(key, inner ? { w: inner.w, h: inner.h, inner } : { ...sizeOf(key) });
  }
  for (const { from, to } of links) {
    for (const port of [from, to]) if (!boxes.has(port)) boxes.set(port, { w: 8, h: 0, port: true });
  }
  const forward = withoutCycles([...boxes.keys()], links);
  rank(boxes, forward);
  const { rows, segments, routes } = bend(boxes, forward);
  order(rows, segments);
  const depths = [...rows.keys()];
  align(rows, boxes, segments);
  const title = sizeOf(`g${g}`);
  let left = Infinity;
  let right = -Infinity;
  for (const box of boxes.values()) {
    left = Math.min(left, box.mid - box.w / 2);
    right = Math.max(right, box.mid + Math.max(box.w / 2, box.label || 0));
  }
  if (rows.every((row) => row.length <= 1)) { // a line stands in the middle of its group
    right = Math.max(right, -left);
    left = -right;
  }
  const w = Math.max(right - left + 2 * GAP.pad, title.w + 24);
  const shift = GAP.pad - left + (w - (right - left + 2 * GAP.pad)) / 2;
  const heights = depths.map((r) => Math.max(0, ...rows[r].map((k) => boxes.get(k).h)));
  let y = GAP.header + 6;
  const tops = depths.map((r) => {
    const ports = rows[r].some((k) => boxes.get(k).port);
    if (ports && r === 0) return 0;
    const top = y;
    y += heights[r] + GAP.row;
    return top;
  });
  const last = rows.length - 1;
  const endPorts = last > 0 && rows[last].some((k) => k[0] === "o");
  const h = endPorts ? y - GAP.row : y - GAP.row + GAP.pad;
  if (endPorts) tops[last] = h;
  for (const box of boxes.values()) {
    box.x = box.mid - box.w / 2 + shift;
    box.y = tops[box.rank] + (heights[box.rank] - box.h) / 2;
    box.top = tops[box.rank];
    box.bottom = tops[box.rank] + heights[box.rank];
  }
  const ports = new Map([...boxes].filter(([, b]) => b.port).map(([key, b]) => [key, b.x + b.w / 2]));
  return { w, h, boxes, ports, wires: drawn(routes, boxes) };
}

/** Links with those turned around that close a cycle, found by a depth-first walk. */
function withoutCycles(keys, links) {
  const out = new Map(keys.map((k) => [k, []]));
  for (const link of links) out.get(link.from).push(link);
  const state = new Map();
  const turned = new Set();
  for (const start of keys) {
    const stack = state.has(start) ? [] : [[start, 0]];
    while (stack.length) {
      const top = stack[stack.length - 1];
      const [key, next] = top;
      state.set(key, 1);
      if (next === out.get(key).length) {
        state.set(key, 2);
        stack.pop();
        continue;
      }
      top[1]++;
      const link = out.get(key)[next];
      if (state.get(link.to) === 1) turned.add(link);
      else if (!state.has(link.to)) stack.push([link.to, 0]);
    }
  }
  return links.map((l) => (turned.has(l) ? { from: l.to, to: l.from, net: l.net, turned: true } : l));
}

/** The layer of each box: the longest way to it; ports on the first and the last. */
function rank(boxes, links) {
  const waiting = new Map([...boxes.keys()].map((k) => [k, 0]));
  const out = new Map([...boxes.keys()].map((k) => [k, []]));
  for (const { from, to } of links) {
    out.get(from).push(to);
    waiting.set(to, waiting.get(to) + 1);
  }
  const entered = [...boxes.keys()].some((k) => k[0] === "i");
  for (const [key, box] of boxes) box.rank = entered && key[0] !== "i" ? 1 : 0;
  const ready = [...boxes.keys()].filter((k) => waiting.get(k) === 0);
  const sorted = [];
  while (ready.length) {
    const key = ready.pop();
    sorted.push(key);
    for (const to of out.get(key)) {
      boxes.get(to).rank = Math.max(boxes.get(to).rank, boxes.get(key).rank + 1);
      waiting.set(to, waiting.get(to) - 1);
      if (waiting.get(to) === 0) ready.push(to);
    }
  }
  const fed = new Set(links.map((l) => l.to));
  for (const key of sorted.reverse()) {
    const next = out.get(key).map((to) => boxes.get(to).rank);
    if (!fed.has(key) && key[0] === "c" && next.length) boxes.get(key).rank = Math.min(...next) - 1;
  }
  let last = 0;
  for (const [key, box] of boxes) last = Math.max(last, key[0] === "o" ? 0 : box.rank);
  const alone = sorted.filter((key) => key[0] === "c" && !fed.has(key) && !out.get(key).length);
  const columns = Math.max(Math.ceil(Math.sqrt(alone.length)), Math.ceil(alone.length / (last + 1)));
  if (alone.length > 1) alone.reverse().forEach((key, i) => { boxes.get(key).rank += Math.floor(i / columns); });
  for (const key of alone) last = Math.max(last, boxes.get(key).rank);
  for (const [key, box] of boxes) if (key[0] === "o") box.rank = last + 1;
}

/** Rows of keys, with a bend in every layer that a link passes; segments between neighbours. */
function bend(boxes, links) {
  const rows = [];
  const segments = [];
  const routes = [];
  const known = new Set();
  let bends = 0;
  for (const [key, box] of boxes) (rows[box.rank] ||= []).push(key);
  for (let r = 0; r < rows.length; r++) rows[r] ||= [];
  const join = (a, b, net) => {
    const key = `${a}>${b}>${net}`;
    if (!known.has(key)) segments.push({ a, b, net, row: boxes.get(a).rank });
    known.add(key);
  };
  for (const link of links) {
    const path = [link.from];
    const [first, end] = [boxes.get(link.from).rank, boxes.get(link.to).rank];
    bends += end - first - 1;
    for (let r = first + 1; r < end && bends < MOST_BENDS; r++) {
      const key = `b${link.from}>${link.net}@${r}`;
      if (!boxes.has(key)) {
        boxes.set(key, { w: 4, h: 0, rank: r, bend: true });
        rows[r].push(key);
      }
      join(path[path.length - 1], key, link.net);
      path.push(key);
    }
    if (end - boxes.get(path[path.length - 1]).rank === 1) join(path[path.length - 1], link.to, link.net);
    path.push(link.to);
    routes.push({ ...link, path });
  }
  return { rows, segments, routes };
}

/** Sorts each row by the mean place of its neighbours, up and down, and keeps the best. */
function order(rows, segments) {
  const up = new Map();
  const down = new Map();
  const byRow = rows.map(() => []);
  for (const s of segments) {
    if (!down.has(s.a)) down.set(s.a, []);
    if (!up.has(s.b)) up.set(s.b, []);
    down.get(s.a).push(s.b);
    up.get(s.b).push(s.a);
    byRow[s.row].push(s);
  }
  const place = new Map();
  const number = (row) => row.forEach((key, i) => place.set(key, i));
  const crossings = () => {
    let count = 0;
    for (const row of byRow) {
      if (row.length > 200) continue;
      for (let i = 0; i < row.length; i++) {
        for (let j = i + 1; j < row.length; j++) {
          const a = place.get(row[i].a) - place.get(row[j].a);
          const b = place.get(row[i].b) - place.get(row[j].b);
          if (a * b < 0) count++;
        }
      }
    }
    return count;
  };
  const sweep = (row, near) => {
    const wish = new Map(row.map((key, i) => {
      const others = near.get(key);
      return [key, others ? others.reduce((s, k) => s + place.get(k), 0) / others.length : i];
    }));
    row.sort((p, q) => wish.get(p) - wish.get(q));
    number(row);
  };
  rows.forEach(number);
  let best = crossings();
  let kept = rows.map((row) => [...row]);
  for (let i = 0; i < 12 && best > 0; i++) {
    if (i % 2 === 0) for (let r = 1; r < rows.length; r++) sweep(rows[r], up);
    else for (let r = rows.length - 2; r >= 0; r--) sweep(rows[r], down);
    const now = crossings();
    if (now < best) [best, kept] = [now, rows.map((row) => [...row])];
  }
  kept.forEach((row, r) => rows.splice(r, 1, row));
}

/** The middle of each box: near its neighbours, in the order of its row. */
function align(rows, boxes, segments) {
  const near = new Map([...boxes.keys()].map((k) => [k, { up: [], down: [] }]));
  for (const s of segments) {
    const weight = boxes.get(s.a).bend && boxes.get(s.b).bend ? 3 : 1;
    near.get(s.a).down.push({ key: s.b, weight });
    near.get(s.b).up.push({ key: s.a, weight });
  }
  const gap = (a, b) => {
    const thin = boxes.get(a).h === 0 && boxes.get(b).h === 0;
    return Math.max(boxes.get(a).w / 2, boxes.get(a).label || 0) + boxes.get(b).w / 2 + (thin ? GAP.thin : GAP.x);
  };
  for (const row of rows) {
    let x = 0;
    row.forEach((key, i) => {
      x += i ? gap(row[i - 1], key) : 0;
      boxes.get(key).mid = x;
    });
    for (const key of row) boxes.get(key).mid -= x / 2;
  }
  const wish = (key, ways) => {
    let [sum, weight] = [0, 0];
    for (const way of ways) {
      for (const other of near.get(key)[way]) {
        sum += other.weight * boxes.get(other.key).mid;
        weight += other.weight;
      }
    }
    return weight ? { x: sum / weight, weight } : { x: boxes.get(key).mid, weight: 0.01 };
  };
  // the last sweep goes down, so that what is in a row stands in a line
  for (let i = 0; i < 9; i++) {
    const ways = [i % 2 ? "down" : "up"];
    for (const row of i % 2 ? [...rows].reverse() : rows) spread(row, boxes, gap, (k) => wish(k, ways));
  }
}

/** The places nearest to the wishes that keep order and gaps: pool adjacent violators. */
function spread(row, boxes, gap, wish) {
  const blocks = [];
  let sum = 0;
  row.forEach((key, i) => {
    sum += i ? gap(row[i - 1], key) : 0;
    const { x, weight } = wish(key);
    blocks.push({ x: x - sum, weight, keys: [[key, sum]] });
    while (blocks.length > 1 && blocks[blocks.length - 2].x > blocks[blocks.length - 1].x) {
      const b = blocks.pop();
      const a = blocks[blocks.length - 1];
      a.x = (a.x * a.weight + b.x * b.weight) / (a.weight + b.weight);
      a.weight += b.weight;
      for (const pair of b.keys) a.keys.push(pair);
    }
  });
  for (const block of blocks) for (const [key, at] of block.keys) boxes.get(key).mid = block.x + at;
}

/** The points of each wire; those that share a side of a box spread along it. */
function drawn(routes, boxes) {
  const sides = new Map();
  const ends = routes.map((route) => (route.turned ? [...route.path].reverse() : route.path));
  const claim = (key, side, id, toward) => {
    const name = `${key}${side}`;
    if (!sides.has(name)) sides.set(name, new Map());
    if (!sides.get(name).has(id)) sides.get(name).set(id, []);
    sides.get(name).get(id).push(boxes.get(toward).mid);
  };
  ends.forEach((path, i) => {
    claim(path[0], "out", routes[i].net, path[1]);
    claim(path[path.length - 1], "in", i, path[path.length - 2]);
  });
  const mean = (values) => values.reduce((s, v) => s + v, 0) / values.length;
  const told = new Set();
  const at = (key, side, id, net) => {
    const box = boxes.get(key);
    if (box.inner) return box.x + box.inner.ports.get((side === "in" ? "i" : "o") + net);
    const sharing = [...sides.get(`${key}${side}`)].sort((p, q) => mean(p[1]) - mean(q[1]));
    const i = sharing.findIndex(([other]) => other === id);
    const step = Math.min(22, box.w / (sharing.length + 1));
    return box.x + box.w / 2 + (i - (sharing.length - 1) / 2) * step;
  };
  return ends.map((path, i) => {
    const [first, last] = [boxes.get(path[0]), boxes.get(path[path.length - 1])];
    const points = [[at(path[0], "out", routes[i].net, routes[i].net), first.y + first.h]];
    for (const key of routes[i].turned ? [] : path.slice(1, -1)) {
      const bend = boxes.get(key);
      const x = bend.x + bend.w / 2;
      points.push([x, bend.top]);
      if (bend.bottom > bend.top) points.push([x, bend.bottom]);
    }
    const end = at(path[path.length - 1], "in", i, routes[i].net);
    if (!routes[i].turned && last.y > last.top) points.push([end, last.top]);
    points.push([end, last.y]);
    const start = `${path[0]}:${routes[i].net}`;
    const label = !first.port && !first.inner && !told.has(start) ? path[0] : null;
    told.add(start);
    const below = Math.max(points[0][1] + (label ? GAP.stub : 0), first.bottom);
    if (!routes[i].turned && below > points[0][1]) points.splice(1, 0, [points[0][0], below]);
    return { net: routes[i].net, points, label, head: !last.port && !last.inner };
  });
}
