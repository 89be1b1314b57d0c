/* What a card says, how large it is, and its element. Text goes in as text, never as markup. */

const KINDS = {
  nn: "network", gp: "kernel", circuits: "circuit", prob: "random variable", causal: "intervention",
  own: "own Op", plain: "plain Aesara", unused: "not in this graph",
};
const LINE = 20;
const ROW = 17;
const WIDEST = 280;
const LONGEST_NAME = 120;
const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();

/** The width of a text in pixels. */
function measure(text, font) {
  const key = `${font}|${text}`;
  if (!widths.has(key)) {
    pen.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
    widths.set(key, pen.measureText(text).width);
  }
  return widths.get(key);
}

const count = (n) => n.toLocaleString("en");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; bytes >= 1000 && i < units.length - 1; i++) bytes /= 1000;
  return `${bytes < 10 && i ? bytes.toFixed(1) : Math.round(bytes)} ${units[i]}`;
}

/** The end of a text that is longer than a card has room for: of a path, the end tells most. */
function ending(text) {
  if (measure(text, "12px") <= LONGEST_NAME) return text;
  const parts = text.split(".");
  const from = parts.findIndex((_, i) => i && measure(`…${parts.slice(i).join(".")}`, "12px") <= LONGEST_NAME);
  return from > 0 ? `…${parts.slice(from).join(".")}` : `…${text.slice(-12)}`;
}

/** The rows of a card: hyperparameters, constants, cells. */
function rowsOf(scene, card) {
  const rows = card.props.map(([name, value]) => [name, value, ""]);
  for (const arg of card.args) {
    if (arg.value !== undefined) rows.push([arg.name, arg.value, ""]);
    if (arg.cell === undefined) continue;
    const cell = scene.cells[arg.cell];
    if (cell.kind === "random") continue;
    const note = cell.kind === "frozen" ? "frozen" : cell.kind === "state" ? "state" : "";
    rows.push([arg.name, cell.value ?? cell.shape, cell.value === null ? count(cell.size) : "", note]);
  }
  return rows;
}

/** The first line and the rows of any box. */
function contentOf(scene, id) {
  const k = Number(id.slice(1));
  if (id[0] === "c") {
    const card = scene.cards[k];
    return { title: card.title, name: card.name, rows: rowsOf(scene, card), outs: card.outs, kind: card.kind };
  }
  const group = scene.groups[k];
  const rows = [[plural(group.ops, "Op"), "", group.size ? count(group.size) : "", group.frozen ? "frozen" : ""]];
  return { title: group.type, name: group.name, rows, outs: group.outs, kind: "group" };
}

/** Width, height and the room its wires' labels need at the right of its middle. */
function sizeOfBox(scene, id) {
  const { title, name, rows, outs, kind } = contentOf(scene, id);
  const fold = kind === "group" ? 18 : kind === "input" || kind === "output" ? 8 : 0;
  let w = measure(title, "600 13px") + (name ? 14 + measure(ending(name), "12px") : 0) + fold;
  for (const row of rows) w = Math.max(w, row.reduce((sum, text) => sum + (text ? measure(text, "12px") + 10 : 0), 0));
  const shown = outs.filter((text) => text[0] === "(");
  const spread = ((shown.length - 1) * 22) / 2;
  const label = shown.length ? Math.max(...shown.map((t) => measure(t, "11px"))) + 12 + spread : 0;
  return { w: Math.ceil(Math.min(WIDEST, Math.max(w + 26, 76))), h: LINE + rows.length * ROW + 11, label };
}

/** An element with text and children. */
function make(tag, options = {}, ...children) {
  const { on = {}, ...rest } = options;
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (name === "text") element.textContent = value;
    else if (value !== undefined) element.setAttribute(name, value);
  }
  for (const [event, call] of Object.entries(on)) element.addEventListener(event, call);
  element.append(...children.filter(Boolean));
  return element;
}

/** The element of a card, of a folded group, or of the title bar of an open one. */
function elementOf(scene, box) {
  const { title, name, rows, kind } = contentOf(scene, box.id);
  const group = box.id[0] === "g";
  const fold = group ? make("span", { class: "fold", text: box.open ? "▾" : "▸", "aria-hidden": "true" }) : null;
  const line = make("div", { class: "line" }, fold, make("b", { text: title }), name ? make("i", { text: ending(name) }) : null);
  const element = make("div", {
    class: box.open ? "bar" : `card ${kind}`, role: "button", tabindex: "-1", "data-id": box.id,
    "aria-label": [title, name, ...rows.map((row) => row.filter(Boolean).join(" "))].filter(Boolean).join(", "),
    "aria-expanded": group ? String(box.open) : undefined,
  }, line);
  if (!box.open) {
    for (const [label, value, number, note] of rows) {
      element.append(make("div", { class: "row" }, make("span", { text: label }), value ? make("span", { text: value }) : null,
        note ? make("span", { class: note, text: note }) : null, number ? make("em", { text: number }) : null));
    }
  }
  element.style.setProperty("--kind", `var(--${group ? "edge" : kind})`);
  return element;
}
