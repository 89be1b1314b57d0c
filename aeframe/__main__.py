"""The command ``aeframe``: ``demo`` and ``doctor``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="aeframe", description="Models as typed graphs.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    demo = verbs.add_parser("demo", help="one example of each front end, with pictures")
    demo.add_argument("--out", type=Path, default=Path(), help="folder for the pictures")
    verbs.add_parser("doctor", help="what is installed, which backends work, and how to mend them")
    chosen = parser.parse_args(arguments)

    from aeframe.core.errors import AeframeError

    try:
        if chosen.verb == "doctor":
            from aeframe.doctor import examine

            print(examine())
            return 0
        from aeframe.demo import run

        return run(chosen.out)
    except AeframeError as error:
        print(f"aeframe: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\naeframe: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
