/* Mouse, touch and keys; then the first picture. */

const BARS = { unfold: () => setOpen(scene.groups.keys()), fold: () => setOpen([0]), in: () => zoom(1.25), out: () => zoom(0.8), fit };

let touched = false; // until then, the picture follows the size of the window

function setOpen(groups) {
  open.clear();
  for (const g of groups) open.add(g);
  open.add(0);
  arrange();
  chosen = null;
  tell(null);
  home();
}

function find(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return;
  const cards = scene.cards.map((card, c) => [`c${c}`, `${card.path} ${card.title} ${card.args.map((a) => scene.cells[a.cell]?.path ?? "").join(" ")}`]);
  const groups = scene.groups.map((group, g) => [`g${g}`, `${group.path} ${group.type}`]).slice(1);
  const rank = ([, t]) => (t.toLowerCase().startsWith(`${wanted} `) ? 0 : 1);
  const hits = [...groups, ...cards].filter(([, t]) => t.toLowerCase().includes(wanted)).sort((a, b) => rank(a) - rank(b));
  if (!hits.length) return;
  const next = hits.findIndex(([id]) => id === chosen) + 1;
  choose(hits[next % hits.length][0], { move: true, focus: false });
}

function follow() {
  const touches = new Map();
  let moved = 0;
  stage.addEventListener("pointerdown", (e) => {
    touches.set(e.pointerId, [e.clientX, e.clientY]);
    moved = 0;
    touched = true;
  });
  window.addEventListener("pointermove", (e) => {
    const before = touches.get(e.pointerId);
    if (!before) return;
    const [dx, dy] = [e.clientX - before[0], e.clientY - before[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    if (touches.size === 2) {
      const other = [...touches].find(([id]) => id !== e.pointerId)[1];
      const far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      const box = stage.getBoundingClientRect();
      zoom(far([e.clientX, e.clientY]) / Math.max(far(before), 1), other[0] - box.left, other[1] - box.top);
    }
    touches.set(e.pointerId, [e.clientX, e.clientY]);
    if (touches.size > 1 || moved < 4) return;
    stage.classList.add("moving");
    look.x += dx;
    look.y += dy;
    paint();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    window.addEventListener(end, (e) => {
      touches.delete(e.pointerId);
      stage.classList.remove("moving");
    });
  }
  stage.addEventListener("wheel", (e) => {
    e.preventDefault();
    touched = true;
    const box = stage.getBoundingClientRect();
    if (e.ctrlKey || e.metaKey) zoom(Math.exp(-e.deltaY / 200), e.clientX - box.left, e.clientY - box.top);
    else { look.x -= e.deltaX; look.y -= e.deltaY; paint(); }
  }, { passive: false });
  stage.addEventListener("click", (e) => {
    if (moved >= 4) return;
    const id = e.target.closest("[data-id]")?.dataset.id;
    if (id && id[0] === "g") toggle(id);
    else choose(id || null);
  });
}

function typed(e) {
  touched = true;
  if (e.target.tagName === "INPUT") return;
  const id = e.target.closest?.("[data-id]")?.dataset.id || chosen || firstBox();
  const ways = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  const on = e.target.closest?.("#stage") || e.target === document.body;
  if (on && ways[e.key]) choose((chosen && neighbour(id, ...ways[e.key])) || id, { move: true });
  else if (on && (e.key === "Enter" || e.key === " ") && id) id[0] === "g" ? toggle(id) : choose(id);
  else if (e.key === "Escape") choose(null);
  else if (e.key === "/") document.getElementById("query").focus();
  else if (e.key === "+" || e.key === "=") zoom(1.25);
  else if (e.key === "-") zoom(0.8);
  else if (e.key === "0") fit();
  else return;
  e.preventDefault();
}

function start() {
  const { totals } = scene;
  describeGroups();
  scene.cards.forEach((card) => { card.feeds = new Set(); });
  scene.cards.forEach((card, c) => {
    for (const arg of card.args) {
      if (arg.card === undefined) continue;
      const own = new Set();
      for (let g = scene.cards[arg.card].group; g !== null; g = scene.groups[g].parent) own.add(g);
      const feeds = scene.cards[arg.card].feeds.add(`c${c}`);
      for (let g = card.group; g !== null && !own.has(g); g = scene.groups[g].parent) feeds.add(`g${g}`);
    }
  });
  document.getElementById("title").textContent = scene.path ? `${scene.title}  ${scene.path}` : scene.title;
  document.getElementById("totals").textContent = [plural(totals.modules, "Module"), plural(totals.ops, "Op"),
    plural(totals.parameters, "parameter") + (totals.frozen ? ` (${count(totals.frozen)} frozen)` : ""),
    ...(totals.parameters ? [size(totals.bytes)] : [])].join(" · ");
  const kinds = new Set(scene.cards.map((card) => card.kind));
  document.getElementById("legend").append(...Object.entries(KINDS).filter(([kind]) => kinds.has(kind)).map(([kind, text]) => {
    const item = make("li", { text });
    item.style.setProperty("--kind", `var(--${kind})`);
    return item;
  }));
  const names = new Set([...scene.groups, ...scene.cards].map((part) => part.path).filter(Boolean));
  document.getElementById("names").append(...[...names].slice(0, 500).map((value) => make("option", { value })));
  document.getElementById("find").addEventListener("submit", (e) => { e.preventDefault(); find(document.getElementById("query").value); });
  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", BARS[button.dataset.do]);
    button.hidden = button.dataset.do.includes("fold") && scene.groups.length === 1;
  }
  document.addEventListener("keydown", typed);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); paint(); });
  new ResizeObserver(() => (touched ? paintNow() : home())).observe(stage);
  follow();
  readColours();
  if (scene.cards.length <= SMALL) scene.groups.forEach((_, g) => open.add(g));
  for (let only = 0; levels[only].items.filter((key) => key[0] === "g").length === 1 && levels[only].items.length <= 3;) {
    only = Number(levels[only].items.find((key) => key[0] === "g").slice(1));
    open.add(only);
  }
  tell(null);
  arrange();
  home();
}

start();
