/* The page: what is open, where one looks, what is chosen. */

const scene = JSON.parse(document.getElementById("scene").textContent);
const stage = document.getElementById("stage");
const world = document.getElementById("world");
const canvas = document.getElementById("wires");
const panel = document.getElementById("panel");
const pencil = canvas.getContext("2d");
const levels = levelsOf(scene);
const open = new Set([0]);
const look = { x: 0, y: 0, k: 1 };
const shown = new Map();
const SMALL = 24; // cards that are all shown at once
const MOST = 500; // elements at a time; more are painted as plain boxes
let plan = null;
let at = new Map();
let chosen = null;
let colours = {};

/** Counts and outgoing types of groups, from the cards in them. */
function describeGroups() {
  for (const group of scene.groups) Object.assign(group, { ops: 0, outs: [] });
  scene.cards.forEach((card) => {
    if (["input", "output", "unused"].includes(card.kind)) return;
    for (let g = card.group; g !== null; g = scene.groups[g].parent) scene.groups[g].ops++;
  });
  levels.forEach((level, g) => {
    const nets = new Set(level.links.filter((l) => l.to[0] === "o").map((l) => l.net));
    scene.groups[g].outs = [...nets].map(typeOf);
  });
}

const typeOf = (net) => {
  const [card, out] = net.split(":").map(Number);
  return scene.cards[card].outs[out];
};

const parentOf = (id) => (id[0] === "c" ? scene.cards[id.slice(1)].group : scene.groups[id.slice(1)].parent);

/** Lays everything out anew; the box `anchor` stays where it is on the screen. */
function arrange(anchor) {
  const before = anchor && at.get(anchor);
  plan = layout(scene, levels, open, (id) => sizeOfBox(scene, id));
  at = new Map(plan.boxes.map((box) => [box.id, box]));
  const after = anchor && at.get(anchor);
  if (before && after) {
    look.x += (before.x - after.x) * look.k;
    look.y += (before.y - after.y) * look.k;
  }
  const rightmost = new Map(); // of the outputs of one box that have one type, one is labelled
  for (const wire of plan.wires) {
    const name = `${wire.label} ${typeOf(wire.net)}`;
    if (wire.label && (rightmost.get(name)?.points[0][0] ?? -Infinity) < wire.points[0][0]) rightmost.set(name, wire);
    const [xs, ys] = [wire.points.map((p) => p[0]), wire.points.map((p) => p[1])];
    wire.bounds = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  }
  plan.labelled = new Set(rightmost.values());
  for (const element of shown.values()) element.remove();
  shown.clear();
  paint();
}

/** The first picture: what fits the width and is readable, from the top; else the first box. */
function home() {
  const k = Math.min(1.1, stage.clientWidth / (plan.w + 40));
  if (k > 0.4) return lookAt(Math.max(Math.min(k, stage.clientHeight / (plan.h + 40)), Math.min(k, 0.6)));
  lookAt(0.6);
  const first = at.get(firstBox());
  look.x = stage.clientWidth / 2 - (first.x + first.w / 2) * look.k;
  look.y = 60 - first.y * look.k;
  paintNow();
}

/** Everything in sight. */
function fit() {
  lookAt(Math.min(1.1, stage.clientWidth / (plan.w + 40), stage.clientHeight / (plan.h + 40)));
}

/** The graph at a scale: in the middle, or from its top where it is longer than the stage. */
function lookAt(k) {
  const [w, h] = [stage.clientWidth, stage.clientHeight];
  Object.assign(look, { k, x: (w - plan.w * k) / 2, y: plan.h * k < h ? (h - plan.h * k) / 2 : 16 });
  paintNow();
}

let waiting = false;
function paint() {
  if (!waiting) requestAnimationFrame(() => { waiting = false; paintNow(); });
  waiting = true;
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ground", "group", "edge", "line", "soft", "card", "focus", ...Object.keys(KINDS)]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

function paintNow() {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [stage.clientWidth, stage.clientHeight];
  canvas.width = w * ratio;
  canvas.height = h * ratio;
  const { x, y, k } = look;
  const sight = [-x / k, -y / k, (w - x) / k, (h - y) / k];
  const seen = ([l, t, r, b]) => r >= sight[0] - 60 && l <= sight[2] + 60 && b >= sight[1] - 60 && t <= sight[3] + 60;
  pencil.setTransform(ratio * k, 0, 0, ratio * k, ratio * x, ratio * y);
  const boxes = plan.boxes.filter((b) => seen([b.x, b.y, b.x + b.w, b.y + b.h]));
  for (const box of boxes) if (box.open && box.id !== "g0") paintGroup(box);
  for (const wire of plan.wires) if (seen(wire.bounds)) paintWire(wire);
  const bare = boxes.length > MOST || k < 0.2;
  world.style.transform = `translate(${x}px, ${y}px) scale(${k})`;
  const wanted = new Map(bare ? [] : boxes.filter((b) => b.id !== "g0").map((b) => [b.id, b]));
  for (const [id, element] of shown) {
    if (!wanted.has(id)) { element.remove(); shown.delete(id); }
  }
  for (const [id, box] of wanted) if (!shown.has(id)) show(box);
  if (bare) for (const box of boxes) if (!box.open) paintCard(box);
}

function paintGroup(box) {
  pencil.beginPath();
  pencil.roundRect(box.x, box.y, box.w, box.h, 9);
  pencil.fillStyle = colours.group;
  pencil.fill();
  pencil.strokeStyle = box.id === chosen ? colours.focus : colours.edge;
  pencil.lineWidth = 1;
  pencil.stroke();
}

function paintCard(box) {
  pencil.fillStyle = box.id[0] === "g" ? colours.line : colours[contentOf(scene, box.id).kind] || colours.line;
  pencil.fillRect(box.x, box.y, Math.max(box.w, 1 / look.k), Math.max(box.h, 1 / look.k));
}

function paintWire(wire) {
  const { net, points, head } = wire;
  const [card] = net.split(":");
  const strong = chosen && (chosen === `c${card}` || scene.cards[card].feeds.has(chosen));
  pencil.strokeStyle = pencil.fillStyle = strong ? colours.focus : colours.line;
  pencil.lineWidth = strong ? 2 : 1.2;
  pencil.beginPath();
  pencil.moveTo(...points[0]);
  const [lx, ly] = points[points.length - 1];
  for (let i = 1; i < points.length; i++) {
    const [[ax, ay], [bx, by]] = [points[i - 1], points[i]];
    const end = i === points.length - 1 && head ? by - 5 : by;
    const bow = by > ay ? (end - ay) / 2 : 60;
    if (ax === bx && by > ay) pencil.lineTo(bx, end);
    else pencil.bezierCurveTo(ax, ay + bow, bx, end - bow, bx, end);
  }
  pencil.stroke();
  if (head) {
    pencil.beginPath();
    pencil.moveTo(lx, ly);
    pencil.lineTo(lx - 4, ly - 7);
    pencil.lineTo(lx + 4, ly - 7);
    pencil.fill();
  }
  if (!plan.labelled.has(wire) || look.k < 0.4 || typeOf(net)[0] !== "(") return; // kernels and circuits need no label
  const [x, y] = [points[0][0] + 6, points[0][1] + 14];
  pencil.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  pencil.lineWidth = 4;
  pencil.strokeStyle = colours.ground;
  pencil.strokeText(typeOf(net), x, y);
  pencil.fillStyle = strong ? colours.focus : colours.soft;
  pencil.fillText(typeOf(net), x, y);
}

function show(box) {
  const element = elementOf(scene, box);
  element.style.left = `${box.x}px`;
  element.style.top = `${box.y}px`;
  element.style.width = `${box.w}px`;
  if (!box.open) element.style.height = `${box.h}px`;
  element.classList.toggle("chosen", box.id === chosen);
  if (box.id === (chosen || firstBox())) element.tabIndex = 0;
  world.append(element);
  shown.set(box.id, element);
}

/** The topmost box, where the keyboard starts. */
const firstBox = () => plan.boxes.reduce((best, b) => (b.id !== "g0" && (!best || b.y < best.y) ? b : best), null)?.id;

/** Opens or closes a group, and keeps it chosen. */
function toggle(id) {
  const g = Number(id.slice(1));
  if (g === 0) return;
  if (!open.delete(g)) open.add(g);
  arrange(id);
  choose(id);
}

/** Marks a box, tells of it in the panel and brings it into sight; `null` lets go. */
function choose(id, { move = false, focus = true } = {}) {
  for (let g = id && parentOf(id); g !== null && g !== undefined && g !== ""; g = scene.groups[g].parent) {
    if (!open.has(g)) { open.add(g); plan = null; }
  }
  if (!plan) arrange();
  shown.get(chosen)?.classList.remove("chosen");
  chosen = id;
  tell(id);
  if (id && move) reveal(at.get(id));
  paintNow();
  for (const [other, element] of shown) element.tabIndex = other === (id || firstBox()) ? 0 : -1;
  shown.get(id)?.classList.add("chosen");
  if (focus && id) shown.get(id)?.focus({ preventScroll: true });
}

function reveal(box) {
  if (!box) return;
  const [w, h] = [stage.clientWidth, stage.clientHeight];
  look.k = Math.max(look.k, 0.6);
  const height = box.open ? 30 : box.h;
  const [l, t] = [box.x * look.k + look.x, box.y * look.k + look.y];
  const [r, b] = [l + box.w * look.k, t + height * look.k];
  if (l < 20 || r > w - 20) look.x += w / 2 - (l + r) / 2;
  if (t < 20 || b > h - 20) look.y += h / 2 - (t + b) / 2;
}

/** The nearest box in a direction of the arrow keys. */
function neighbour(id, dx, dy) {
  const from = at.get(id);
  const middle = (b) => [b.x + b.w / 2, b.y + (b.open ? 15 : b.h / 2)];
  const [fx, fy] = middle(from);
  let best = null;
  let least = Infinity;
  for (const box of plan.boxes) {
    if (box.id === id || box.id === "g0") continue;
    const [x, y] = middle(box);
    const along = (x - fx) * dx + (y - fy) * dy;
    const aside = Math.abs((x - fx) * dy) + Math.abs((y - fy) * dx);
    if (along > 4 && along + 2 * aside < least) [best, least] = [box.id, along + 2 * aside];
  }
  return best;
}

function zoom(factor, px = stage.clientWidth / 2, py = stage.clientHeight / 2) {
  const k = Math.min(3, Math.max(1e-4, look.k * factor));
  look.x = px - ((px - look.x) * k) / look.k;
  look.y = py - ((py - look.y) * k) / look.k;
  look.k = k;
  paint();
}
