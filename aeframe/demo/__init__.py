"""``aeframe demo``: one example of each front end, through one typed graph."""

from __future__ import annotations

import sys
from pathlib import Path

from aeframe.core.errors import FileError
from aeframe.core.summary import plain_table, render
from aeframe.demo.row import Row


def run(out: Path) -> int:
    """Run all examples, draw their pictures into ``out``, print a table; the exit status.

    Raises
    ------
    FileError
        When the pictures cannot be written there.
    """
    import matplotlib

    matplotlib.use("Agg")
    from aeframe.demo import airline, automl, digits, kidney, network, schools

    _require_writable(out)
    rows: list[Row] = []
    for part in (digits.run, network.run, automl.run, airline.run, schools.run, kidney.run):
        rows.extend(part(out))
    print(table(rows))
    print("\npictures:", ", ".join(str(path) for path in sorted({r.picture for r in rows})))
    missed = [r.task for r in rows if not r.reached]
    if missed:
        print("not as expected:", ", ".join(missed), file=sys.stderr)
    return 1 if missed else 0


def table(rows: list[Row]) -> str:
    """What ran, its result, what was expected, seconds and backend."""
    made = plain_table("", "what ran", "result", "expected", "seconds", "backend")
    for r in rows:
        mark = "" if r.reached else " (not reached)"
        made.add_row(r.task, r.result + mark, r.expected, f"{r.seconds:.1f}", r.backend)
    return render(made, width=120)


def _require_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".aeframe-demo"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FileError(
            f"cannot write pictures here: {error.strerror}",
            path=str(out.resolve()),
            fix="aeframe demo --out FOLDER",
        ) from error
