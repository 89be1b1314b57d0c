"""Arrays spread over a mesh of devices, in one process or in several.

A program is written for whole arrays; XLA splits it by where its inputs lie (GSPMD, Xu et al.
2021). Batches are split along axis ``data``, cells as a layout says by their paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import gcd, prod
from typing import Any

import numpy as np
from aesara.graph.basic import Variable

from aeframe.core.cells import Store
from aeframe.core.errors import (
    ArgumentError,
    BackendError,
    ShapeError,
    UnknownNameError,
    nearest,
)
from aeframe.core.shapes import is_tensor, shape_text
from aeframe.core.structure import matches

BATCH = "data"


def connect(coordinator: str, count: int, index: int) -> None:
    """Join ``count`` processes, of which this is number ``index``, into one JAX.

    Call it in each process before anything runs on JAX; it returns when all are there. A mesh
    then spans the devices of all of them, and each process feeds its own rows of a batch.

    Parameters
    ----------
    coordinator
        ``host:port`` of process 0.
    count, index
        How many processes there are, and which of them this is, from 0.

    Raises
    ------
    ArgumentError
        When ``index`` is not one of ``count``.
    BackendError
        When JAX has already been used, or the others do not answer.
    """
    if not 0 <= index < count:
        raise ArgumentError(
            "no such process", expected=f"0 <= index < {count}", got=index, fix="count from 0"
        )
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, num_processes=count, process_id=index)
    except (RuntimeError, ValueError) as error:
        raise BackendError(
            "the processes could not be joined",
            got=str(error).splitlines()[0],
            fix="connect before anything runs on JAX, and once",
        ) from error


class Placement:
    """Where arrays lie on a mesh.

    Parameters
    ----------
    mesh
        Axis → number of devices along it, such as ``{"data": 4, "model": 2}``.
    layout
        Pattern of paths (``*`` for any text, ``?`` for one character) → for each axis of such a
        cell, the axis of the mesh that it is split along, or ``None``. The first pattern that
        matches counts; other cells are everywhere whole. An optimizer's slot of the shape of its
        parameter lies as that does, one of another shape is whole.

    Raises
    ------
    ArgumentError
        When the mesh has more devices than there are, or the layout names another axis, or one
        of the two is not a mapping.
    """

    def __init__(self, mesh: Mapping[str, int], layout: Mapping[str, Sequence[str | None]]) -> None:
        import jax

        for name, given, expected in (
            ("mesh", mesh, '{"data": 4, "model": 2}'),
            ("layout", layout, '{"*.w": (None, "model")}'),
        ):
            if not isinstance(given, Mapping):
                raise ArgumentError(f"`{name}` is a dict", expected=expected, got=repr(given))
        self._jax, self.sizes, self.layout = jax, dict(mesh), dict(layout)
        bad = [f"{a}={n!r}" for a, n in mesh.items() if not isinstance(n, int) or n < 1]
        if bad or not mesh:
            raise ArgumentError("a mesh has axes of positive sizes", got=", ".join(bad) or "none")
        for pattern, axes in layout.items():
            self._check(pattern, axes)
        devices, needed = jax.devices(), prod(mesh.values())
        if needed > len(devices) or (jax.process_count() > 1 and needed < len(devices)):
            raise ArgumentError(
                "the mesh does not fit the devices",
                expected=f"{len(devices)} devices, all of the {jax.process_count()} processes"
                if jax.process_count() > 1
                else f"at most {len(devices)} devices",
                got=f"{' x '.join(f'{a}={n}' for a, n in mesh.items())} = {needed}",
                fix=f"XLA_FLAGS=--xla_force_host_platform_device_count={needed} splits a CPU"
                if jax.default_backend() == "cpu" and jax.process_count() == 1
                else "make the product of its sizes the number of devices",
            )
        self.mesh = jax.make_mesh(tuple(mesh.values()), tuple(mesh), devices=devices[:needed])

    def _check(self, pattern: str, axes: Sequence[str | None]) -> None:
        if isinstance(axes, str) or not isinstance(axes, Sequence):
            raise ArgumentError(
                "a layout is a tuple of axes", path=pattern, expected='(None, "model")', got=axes
            )
        named = [a for a in axes if a is not None]
        unknown = [a for a in named if a not in self.sizes]
        if unknown or len(set(named)) < len(named):
            raise ArgumentError(
                "the layout names an axis that the mesh does not have, or one twice",
                path=pattern,
                expected=", ".join(self.sizes),
                got=", ".join(named),
            )

    def _sharding(self, axes: Sequence[str | None]) -> Any:
        return self._jax.sharding.NamedSharding(self.mesh, self._jax.sharding.PartitionSpec(*axes))

    @property
    def whole(self) -> Any:
        """The sharding of what each device holds all of."""
        return self._sharding(())

    @property
    def multiple(self) -> int:
        """What the rows of a batch that one process feeds must be a multiple of."""
        n = self.sizes.get(BATCH, 1)
        return n // gcd(n, self._jax.process_count())

    def require_cells(self, store: Store) -> None:
        """Raise :class:`UnknownNameError` unless each pattern of the layout fits a cell."""
        for pattern in self.layout:
            if not any(matches(pattern, path) for path in store):
                paths = [path for path, cell in store.items() if cell.follows is None]
                raise UnknownNameError(
                    f"the pattern {pattern!r} of the layout fits no cell",
                    path=pattern,
                    fix="leave it out, or " + nearest(pattern, paths),
                )

    def of_cell(self, variable: Variable) -> Any:
        """The sharding of a cell, or of the variable in its place (``tag.cell``, None if folded).

        Raises
        ------
        ShapeError
            When the cell has too few axes, or one that cannot be split evenly.
        """
        cell = getattr(variable.tag, "cell", variable)
        parameter = getattr(cell, "follows", None)
        if parameter is not None and parameter.type.shape != cell.type.shape:
            return self.whole
        names = [c.name or "" for c in (cell, parameter) if c is not None]
        for pattern, axes in self.layout.items():
            if any(matches(pattern, name) for name in names):
                return self._split(cell.name, cell.type.shape, axes)
        return self.whole

    def of_batch(self, name: str | None, shape: Sequence[int], axis: int = 0) -> Any:
        """The sharding of an input: rows over ``data``.

        Raises
        ------
        ShapeError
            When the rows cannot be split evenly.
        """
        if len(shape) <= axis or BATCH not in self.sizes:
            return self.whole
        return self._split(name, shape, (*(None,) * axis, BATCH))

    def _split(self, path: str | None, shape: Sequence[int], axes: Sequence[str | None]) -> Any:
        if len(axes) > len(shape):
            raise ShapeError(
                "the layout gives a cell more axes than it has",
                path=path,
                expected=f"at most {len(shape)}: {shape_text(shape)}",
                got=repr(tuple(axes)),
                fix="narrow the pattern, or name as many axes as the cell has",
            )
        if any(a is not None and n % self.sizes[a] for n, a in zip(shape, axes, strict=False)):
            wanted = ", ".join("*" if a is None else f"{self.sizes[a]} k" for a in axes)
            raise ShapeError(
                "an array cannot be split evenly over the mesh",
                path=path,
                expected=f"({wanted})",
                got=shape_text(shape),
                fix="choose a batch size or a width that the mesh divides, or another layout",
            )
        return self._sharding(axes)

    def put(self, value: Any, sharding: Any) -> Any:
        """``value``, which every process has whole, as it lies on the mesh."""
        if isinstance(value, self._jax.Array) and value.sharding == sharding:
            return value
        if self._jax.process_count() == 1:
            return self._jax.device_put(value, sharding)
        host = np.asarray(value)
        return self._jax.make_array_from_callback(host.shape, sharding, lambda i: host[i])

    def rows(self, shape: Sequence[int], axis: int = 0) -> tuple[int, ...]:
        """The shape of a whole batch, of which this process feeds a part of ``shape``."""
        factor = self._jax.process_count() if BATCH in self.sizes and len(shape) > axis else 1
        return tuple(n * factor if i == axis else n for i, n in enumerate(shape))

    def feed(self, arrays: Sequence[Any], axis: int = 0) -> list[Any]:
        """The batch, of which each process has given its own rows."""
        if self._jax.process_count() == 1:
            return list(arrays)
        made = []
        for a in arrays:
            shape = self.rows(a.shape, axis)
            sharding = self.of_batch("a batch", shape, axis)
            made.append(self._jax.make_array_from_process_local_data(sharding, a, shape))
        return made


class Spread:
    """A program on a mesh: its inputs are put where they belong, its outputs are whole.

    Attributes
    ----------
    program
        The jitted function, for arrays that lie where they belong.
    """

    def __init__(
        self,
        placement: Placement,
        step: Callable[..., Any],
        rows: Sequence[Variable],
        updated: Sequence[Variable],
        fixed: Sequence[Variable],
        n_outputs: int,
    ) -> None:
        def of_cells(variables: Sequence[Variable]) -> list[Any]:
            return [placement.of_cell(v) if is_tensor(v) else placement.whole for v in variables]

        jax, self._put = placement._jax, placement.put
        self._where = (
            of_cells(updated),
            of_cells(fixed),
            [
                placement.of_batch(v.name, v.type.shape) if is_tensor(v) else placement.whole
                for v in rows
            ],
        )
        self._map = jax.tree.map
        outputs = [placement.whole] * n_outputs
        self.program = jax.jit(step, donate_argnums=0, out_shardings=(outputs, self._where[0]))

    def __call__(self, *groups: Sequence[Any]) -> Any:
        """Outputs and new states, from states, values and inputs."""
        placed = [
            [self._map(lambda x, s=s: self._put(x, s), v) for v, s in zip(g, w, strict=True)]
            for g, w in zip(groups, self._where, strict=True)
        ]
        return self.program(*placed)
