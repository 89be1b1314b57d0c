/* The panel: what is known of the chosen box, or of the whole model. */

/** A button that chooses another box. */
function go(id, text) {
  return make("button", { type: "button", class: "go", text, on: { click: () => choose(id, { move: true }) } });
}

function table(rows) {
  return make("table", {}, make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) =>
    cell instanceof Node ? make("td", {}, cell) : make("td", { text: cell.text ?? cell, class: cell.class })
  )))));
}

const section = (title, ...content) => (content.length ? [make("h3", { text: title }), ...content] : []);

/** A cell as a row: path, shape and dtype, number of values. */
function cellRow(index) {
  const cell = scene.cells[index];
  const what = cell.kind === "random" ? "random state" : `${cell.shape} ${cell.dtype}`;
  const name = make("div", {}, make("code", { text: cell.path || "(not in the tree)" }), make("div", { class: "soft", text: what }));
  if (cell.value !== null) name.append(make("div", { text: `= ${cell.value}` }));
  if (cell.kind !== "parameter" && cell.kind !== "random") name.append(make("div", { class: cell.kind, text: cell.kind }));
  return [name, { text: cell.size ? count(cell.size) : "", class: "n" }];
}

function nameOf(c) {
  const card = scene.cards[c];
  return card.name ? `${card.title} ${card.name}` : card.title;
}

function cardContent(id) {
  const c = Number(id.slice(1));
  const card = scene.cards[c];
  const inputs = card.args.filter((a) => a.cell === undefined).map((a) => [
    a.name || "",
    a.card === undefined ? a.value : make("div", {}, go(`c${a.card}`, nameOf(a.card)),
      make("div", { class: "soft", text: scene.cards[a.card].outs[a.out] })),
  ]);
  const named = inputs.some(([name]) => name) ? inputs : inputs.map(([, source]) => [source]);
  const outputs = card.outs.filter(Boolean).map((text) => [text]);
  const cells = [...new Set(card.args.filter((a) => a.cell !== undefined).map((a) => a.cell))];
  const total = cells.reduce((sum, i) => sum + (["parameter", "frozen"].includes(scene.cells[i].kind) ? scene.cells[i].size : 0), 0);
  const to = scene.cards.flatMap((other, o) => (other.args.some((a) => a.card === c) ? [[go(`c${o}`, nameOf(o))]] : []));
  return [
    make("h2", { text: card.title }),
    make("p", { class: "path", text: card.path || scene.path || scene.title }),
    card.type === card.title.toLowerCase() ? null : make("p", { class: "soft", text: card.type }),
    card.doc ? make("p", { text: card.doc }) : null,
    ...(card.props.length ? section("Hyperparameters", table(card.props)) : []),
    ...(inputs.length ? section("Inputs", table(named)) : []),
    ...(outputs.length ? section("Outputs", table(outputs)) : []),
    ...(to.length ? section("Feeds", table(to)) : []),
    ...(cells.length ? section(`Cells, ${plural(total, "parameter")}`, table(cells.map(cellRow))) : []),
    ...(card.writes.length ? section("Updates", table(card.writes.map(cellRow))) : []),
  ];
}

function groupContent(id) {
  const g = Number(id.slice(1));
  const group = scene.groups[g];
  const isBelow = (path) => !group.path || path === group.path || path.startsWith(`${group.path}.`) || path.startsWith(`${group.path}[`);
  const cells = scene.cells.map((cell, i) => i).filter((i) => scene.cells[i].path && isBelow(scene.cells[i].path));
  const parts = levels[g].items.filter((key) => key[0] === "g" || scene.cards[key.slice(1)].path).slice(0, 200).map((key) => {
    const part = contentOf(scene, key);
    const size = key[0] === "g" ? scene.groups[key.slice(1)].size : 0;
    return [go(key, part.name ? `${part.title} ${part.name}` : part.title), { text: size ? count(size) : "", class: "n" }];
  });
  const { totals } = scene;
  return [
    make("h2", { text: group.type }),
    group.path ? make("p", { class: "path", text: group.path }) : null,
    group.doc ? make("p", { text: group.doc }) : null,
    make("p", { class: "soft", text: [plural(group.ops, "Op"), plural(group.size, "parameter"),
      group.frozen ? `${count(group.frozen)} frozen` : "", g ? "" : size(totals.bytes)].filter(Boolean).join(", ") }),
    ...(group.props.length ? section("Settings", table(group.props)) : []),
    ...(parts.length ? section("Parts", table(parts)) : []),
    ...(cells.length ? section("Cells", table(cells.slice(0, 300).map(cellRow))) : []),
    cells.length > 300 ? make("p", { class: "soft", text: `and ${count(cells.length - 300)} more` }) : null,
  ];
}

function help() {
  const keys = [["Enter", "fold, unfold"], ["← ↑ ↓ →", "go to the next box"], ["+ − 0", "zoom, show everything"],
    ["/", "find"], ["Esc", "let go"]];
  return section("Keys", table(keys.map(([key, what]) => [make("kbd", { text: key }), what])));
}

/** Fills the panel for a box, or for the whole model. */
function tell(id) {
  const content = id && id[0] === "c" ? cardContent(id) : groupContent(id || "g0");
  const close = id ? make("button", { type: "button", class: "close", text: "×", "aria-label": "Close",
    on: { click: () => choose(null) } }) : null;
  panel.replaceChildren(...[close, ...content, ...(id ? [] : help())].filter(Boolean));
  panel.classList.toggle("idle", !id);
  panel.scrollTop = 0;
}
