"""Compiled programs are kept between processes, and a cache that fails costs nothing but time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aeframe as ae
from aeframe.backends.cache import processor
from aeframe.core.errors import BackendError

ROOT = Path(__file__).parents[2]
CODE = """
import json, sys
import numpy as np
import aeframe as ae
import aesara.tensor as at

hits = []
if sys.argv[1] == "jax":
    import jax
    jax.monitoring.register_event_listener(
        lambda event, **_: hits.append(event) if "compilation_cache/cache_hits" in event else None
    )
backend = ae.Backend(sys.argv[1], **json.loads(sys.argv[2]))
x = at.TensorType("float64", (40, 40))("x")
y = x
for _ in range(20):
    y = at.tanh(at.dot(y, x)) + at.sort(y, axis=0)
(out,) = backend.compile([x], [y])(np.eye(40))
folder = sys.modules["jax"].config.jax_compilation_cache_dir if "jax" in sys.modules else None
print(json.dumps({"sum": float(np.asarray(out).sum()), "hits": len(hits), "folder": folder}))
"""


def run(backend, options=None, **environment):
    done = subprocess.run(
        [sys.executable, "-c", CODE, backend, json.dumps(options or {})],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def files(folder):
    """What lies below ``folder``, without the times that JAX writes when it reads."""
    found = (f for f in folder.rglob("*") if f.is_file() and not f.name.endswith("-atime"))
    return {f: f.stat().st_mtime_ns for f in found}


def test_a_second_process_reads_what_the_first_compiled_for_jax(tmp_path):
    first = run("jax", XDG_CACHE_HOME=str(tmp_path))
    kept = files(tmp_path)
    second = run("jax", XDG_CACHE_HOME=str(tmp_path))
    assert first["hits"] == 0 and second["hits"] >= 1 and kept and files(tmp_path) == kept
    assert first["sum"] == second["sum"]
    assert Path(first["folder"]) == tmp_path / "aeframe/jax" / processor()


def test_a_second_process_reads_what_the_first_compiled_for_numba(tmp_path):
    first = run("numba", XDG_CACHE_HOME=str(tmp_path))
    kept = files(tmp_path)
    assert any(f.suffix == ".nbc" for f in kept)
    assert run("numba", XDG_CACHE_HOME=str(tmp_path)) == first
    assert {f: t for f, t in files(tmp_path).items() if f.suffix in (".py", ".nbc")} == {
        f: t for f, t in kept.items() if f.suffix in (".py", ".nbc")
    }


@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_a_cache_that_cannot_be_written_is_done_without(backend):
    assert run(backend, XDG_CACHE_HOME="/dev/null")["folder"] is None


def test_the_user_has_the_last_word(tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    found = run("jax", JAX_COMPILATION_CACHE_DIR=str(theirs), XDG_CACHE_HOME=str(ours))
    assert found["folder"] == str(theirs) and not files(ours)
    named = run("jax", {"cache": str(ours)}, XDG_CACHE_HOME=str(theirs))
    assert Path(named["folder"]).parent == ours and files(ours)
    assert run("jax", {"cache": None}, XDG_CACHE_HOME=str(theirs))["folder"] is None


def test_a_damaged_entry_is_compiled_again(tmp_path):
    first = run("numba", XDG_CACHE_HOME=str(tmp_path))
    for file in files(tmp_path):
        if file.suffix in (".nbi", ".nbc"):
            file.write_bytes(file.read_bytes()[:5])
    assert run("numba", XDG_CACHE_HOME=str(tmp_path)) == first


def test_a_named_folder_must_be_writable():
    with pytest.raises(BackendError, match="name another folder"):
        ae.Backend("jax", cache="/dev/null/here")
