"""The page of ``model.view()``: all that is in the graph is on it, and nothing else runs."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe import gp, nn
from aeframe.circuits import Bernoulli
from aeframe.core import toposort
from aeframe.core.errors import FileError, StateError, UnknownNameError
from aeframe.core.view.groups import addresses
from aeframe.rewrites import graph_of

EVIL = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">'


class Net(ae.Module):
    """Two layers and a <b>shared</b> Dropout."""

    def __init__(self):
        self.hidden = [nn.Dense(16), nn.Dense(16)]
        self.norm, self.dropout, self.out = nn.BatchNorm(), nn.Dropout(0.5), nn.Dense(3)

    def __call__(self, x):
        for layer in self.hidden:
            x = self.dropout(nn.relu(layer(x)))
        return self.out(self.norm(x))


class Line(ae.Model):
    def __call__(self, x):
        slope = self.sample("slope", ae.Normal(0, 5))
        self.sample("y", ae.Normal(slope * x, 1.0))


class Deep(ae.Module):
    def __init__(self, depth=4):
        part = nn.Dense, nn.LayerNorm
        self.blocks = [nn.Residual(part[1](), part[0](8), nn.gelu) for _ in range(depth)]

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def circuit():
    a, b = Bernoulli(0, 0.3), Bernoulli(1, 0.2)
    return 0.6 * (a * b) + 0.4 * (Bernoulli(0, 0.9) * Bernoulli(1, 0.7))


ROWS = at.TensorType("float32", (None, 8))
CASES = {
    "network": (Net, [ROWS("x")]),
    "deep": (Deep, [ROWS("x")]),
    "kernel": (lambda: gp.SE() * gp.Periodic() + gp.Linear(), []),
    "circuit": (circuit, []),
    "model": (Line, [at.dvector("x")]),
}


class Page(HTMLParser):
    """The tags of a page, its addresses and the text of its scripts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.scripts, self.inside = [], [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = tag == "script"
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "data")]
        if self.inside:
            self.scripts.append("")

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data

    def handle_endtag(self, tag):
        self.inside = False


def page_of(name):
    make, inputs = CASES[name]
    module = make()
    return module, inputs, module.view(*inputs)


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_in_the_graph_is_on_the_page(name):
    module, inputs, view = page_of(name)
    page = Page(view.html)
    scene = json.loads(page.scripts[0])
    assert scene == json.loads(json.dumps(view.scene))
    paths = {part["path"] for part in [*scene["groups"], *scene["cards"]]}
    assert module.modules().keys() <= paths
    assert {c["path"] for c in scene["cells"]} >= module.store.keys()
    graph, _ = graph_of(module, inputs)
    typed = [n for n in toposort(graph.results) if type(n.op).__module__.startswith("aeframe.")]
    kinds = ("input", "output", "unused")
    shown = [c["type"] for c in scene["cards"] if c["kind"] not in kinds]
    for op in {type(n.op).__name__ for n in typed}:
        assert shown.count(op) == sum(type(n.op).__name__ == op for n in typed)
    total = sum(c.numpy().size for c in ae.parameters(graph) if module.init())
    assert scene["totals"]["parameters"] == total


@pytest.mark.parametrize("name", CASES)
def test_the_page_needs_no_network(name):
    html = page_of(name)[2].html
    page = Page(html)
    assert page.addresses == [] and page.tags.count("script") == 2
    assert not re.search(r"//[a-z]|@import|url\(", html.replace("// ", ""))
    assert "default-src 'none'" in html


class Evil(ae.Module):
    def __init__(self):
        self.parts = {EVIL: nn.Dense(2), "</script>": ae.Parameter(1.0)}
        self.note = EVIL

    def __call__(self, x):
        return self.parts[EVIL](x) * self.parts["</script>"]


Evil.__name__ = EVIL


def test_names_are_inert():
    html = Evil().view(at.TensorType("float64", (None, 2))(EVIL)).html
    assert EVIL not in html and "<img" not in html
    page = Page(html)
    assert page.tags.count("script") == 2 and "img" not in page.tags
    assert EVIL in json.loads(page.scripts[0])["title"]


def test_frozen_and_updated_cells_are_marked():
    net = Net()
    net(np.ones((2, 8)))
    scene = net.freeze("hidden[0]").view(ROWS("x")).scene
    kinds = {c["path"]: c["kind"] for c in scene["cells"]}
    assert kinds["hidden[0].w"] == "frozen" and kinds["out.w"] == "parameter"
    assert kinds["norm.mean"] == "state" and kinds["dropout.rng"] == "random"
    assert scene["totals"]["frozen"] == 8 * 16 + 16
    (norm,) = [c for c in scene["cards"] if c["title"] == "BatchNorm"]
    written = {scene["cells"][i]["path"] for i in norm["writes"]}
    assert written == {"norm.mean", "norm.variance"}
    assert "144 frozen" in str(net.view())


def test_a_shared_layer_stands_on_every_card_of_its_calls():
    scene = Net().view(ROWS("x")).scene
    assert [c["path"] for c in scene["cards"] if c["title"] == "Dropout"] == ["dropout"] * 2
    assert [g["path"] for g in scene["groups"]] == [""]


def test_groups_feed_each_other_in_one_direction():
    # block, then an Op of the root, then the same block again
    paths = ["block.a", "block.b", "", "block.a", "block.b"]
    links = [(0, 1), (1, 2), (2, 3), (3, 4)]
    modules = {"", "block", "block.a", "block.b"}
    found = addresses(paths, links, modules, ())
    calls = [a[1][1] if len(a) > 1 else None for a in found]
    assert calls[0] == calls[1] != calls[3] == calls[4] and calls[2] is None
    direct = addresses(paths[:2] + paths[3:], [(0, 1), (1, 2), (2, 3)], modules, ())
    assert len(set(direct)) == 1


def test_expressions_are_one_group():
    assert len(circuit().view().scene["groups"]) == 1


def test_a_part_alone():
    model = Deep()
    view = model.view(ROWS("x"), path="blocks[1]")
    kinds = [c["kind"] for c in view.scene["cards"]]
    assert kinds.count("input") == kinds.count("output") == 1
    assert view.scene["groups"][0]["path"] == "blocks[1]"
    assert view.scene["totals"]["parameters"] == 8 * 8 + 8 + 16
    with pytest.raises(UnknownNameError, match=r"blocks\[1\]"):
        model.view(ROWS("x"), path="block[1]")


def test_without_inputs_the_last_call_is_shown():
    net = Net()
    with pytest.raises(StateError, match="has not been called"):
        net.view()
    net(np.ones((4, 8)))
    assert net.view().scene["cards"][0]["outs"] == ["(4, 8) float32"]
    assert net.view(np.ones((2, 8))).scene["cards"][0]["outs"] == ["(2, 8) float32"]


def test_save_and_notebooks(tmp_path):
    view = Net().view(ROWS("x"))
    view.save(tmp_path / "net.html")
    assert (tmp_path / "net.html").read_text() == view.html
    frame = view._repr_html_()
    assert Page(frame).tags == ["iframe"] and "Net" in frame
    with pytest.raises(FileError):
        view.save(tmp_path / "no" / "net.html")


NODE = shutil.which("node")
OVERLAPS = """
const scene = %s;
const levels = levelsOf(scene);
const sizes = (id) => ({ w: 80 + (id.charCodeAt(1) %% 5) * 30, h: 40, label: 30 });
for (const open of [new Set([0]), new Set(scene.groups.keys())]) {
  const { boxes, wires, w, h } = layout(scene, levels, open, sizes);
  const alone = boxes.filter((b) => !b.open);
  for (const b of alone) {
    if (!(b.x >= 0 && b.y >= 0 && b.x + b.w <= w && b.y + b.h <= h)) throw Error(`${b.id} is out`);
    for (const c of alone) {
      const apart = c.x >= b.x + b.w || b.x >= c.x + c.w || c.y >= b.y + b.h || b.y >= c.y + c.h;
      if (b.id < c.id && !apart) throw Error(`${b.id} lies on ${c.id}`);
    }
  }
  for (const { points } of wires) {
    for (const p of points.flat()) if (!Number.isFinite(p)) throw Error("a wire goes nowhere");
    if (points[0][1] >= points[points.length - 1][1]) throw Error("a wire goes up");
  }
}
console.log("fits");
"""


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("name", CASES)
def test_boxes_do_not_overlap_and_wires_go_down(name, tmp_path):
    view = page_of(name)[2]
    script = Page(view.html).scripts[1]
    (tmp_path / "page.js").write_text(script)
    subprocess.run([NODE, "--check", tmp_path / "page.js"], check=True, timeout=60)
    layout = script[: script.index("/* What a card says")]
    (tmp_path / "layout.js").write_text(layout + OVERLAPS % json.dumps(view.scene))
    done = subprocess.run([NODE, tmp_path / "layout.js"], capture_output=True, timeout=60)
    assert done.stdout.strip() == b"fits", done.stderr.decode()


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), "")
DRIVER = """<script>
const press = (key) => (document.querySelector(":focus") || document.body)
  .dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const cards = () => document.querySelectorAll(".card").length;
const said = [window.hacked === undefined, cards()];
for (let i = 0; i < 9; i++) {
  press("ArrowDown");
  if (document.activeElement.hasAttribute("aria-expanded")) break;
}
press("Enter");
said.push(cards(), document.querySelector("#panel h2").textContent);
press("Enter");
said.push(cards());
document.body.dataset.said = JSON.stringify(said);
</script></body>"""


def in_chromium(view, folder):
    page = folder / "page.html"
    page.write_text(view.html.replace("</body>", DRIVER))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,3000"]
    command = [CHROMIUM, *options, f"--user-data-dir={folder}/user", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    return json.loads(re.search(r'data-said="(.*?)"', dom)[1].replace("&quot;", '"'))


@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_in_chromium(tmp_path):
    inert, folded, unfolded, title, again = in_chromium(Deep(8).view(ROWS("x")), tmp_path)
    assert inert and folded == again == 10 and unfolded == 9 + 4 and title == "Residual"
    assert in_chromium(Evil().view(np.ones((1, 2))), tmp_path)[0]


def test_a_large_graph_stays_small():
    class Chain(ae.Module):
        def __call__(self, x):
            for _ in range(5000):
                x = nn.tanh(x) + 1.0
            return x

    view = Chain().view(ROWS("x"))
    assert view.scene["totals"]["ops"] == 10_000 and len(view.html) < 4e6
