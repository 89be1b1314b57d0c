"""The JAX backend: a graph of concrete shapes becomes one jitted function with donated state.

Aesara's own driver is not used: its rewrites take longer than XLA's and gain nothing here. Each
Apply is translated by Aesara's dispatch or by the implementations in
:mod:`aeframe.backends.jax.ops`, and XLA sees the whole graph at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from os import PathLike
from types import EllipsisType
from typing import Any

import numpy as np
from aesara.graph.basic import Apply, Constant, Variable
from aesara.tensor.random.op import RandomVariable

from aeframe.backends.base import Backend, Diagnosis
from aeframe.backends.cache import keep_programs
from aeframe.backends.claims import implementation
from aeframe.backends.jax.memory import keep_memory
from aeframe.backends.jax.mesh import Placement, Spread
from aeframe.backends.program import Executable, Mapped
from aeframe.core.cells import Cell, RandomState, Store
from aeframe.core.errors import ArgumentError, UnsupportedError
from aeframe.core.graph import Graph, toposort
from aeframe.core.ops import TypedOp

# XLA's time grows faster than the square of a long chain and its gradient: 4,000 Applies take 7 s,
# 17,000 take 7 minutes. Larger graphs are compiled in pieces, at about 5 ms an Apply.
LARGEST, SEGMENT = 4000, 200


class JaxBackend(Backend):
    """Compiles with XLA through JAX, for CPU or whatever device JAX has.

    Parameters
    ----------
    cache
        The folder that keeps compiled programs for later processes; ``None`` for no folder.
        Without it that is ``aeframe/jax`` in the user's cache, unless JAX has been given one.
        JAX has one cache in a process: the last folder named counts.
    mesh, layout
        Devices to spread over, and how cells lie on them: see
        :class:`aeframe.backends.jax.mesh.Placement`. Batches are split along the axis ``data``.

    Raises
    ------
    ArgumentError
        When the mesh does not fit the devices, or the layout the mesh.
    BackendError
        When JAX is not installed, or nothing can be written to ``cache``.
    """

    name = "jax"
    reentrant = True
    takes = ("cache", "mesh", "layout")

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """Whether JAX is installed."""
        if find_spec("jax") is None or find_spec("jaxlib") is None:
            return Diagnosis(False, "JAX is not installed", "pip install jax")
        try:
            return Diagnosis(True, f"JAX {version('jax')}")
        except PackageNotFoundError:
            return Diagnosis(True, "JAX")

    def __init__(
        self,
        name: str = "",
        *,
        cache: str | PathLike[str] | EllipsisType | None = ...,
        mesh: Mapping[str, int] | None = None,
        layout: Mapping[str, Sequence[str | None]] | None = None,
        **unknown: Any,
    ) -> None:
        given = {"cache": cache, "mesh": mesh, "layout": layout, **unknown}
        super().__init__(name, **{k: v for k, v in given.items() if v not in (..., None)})
        keep_memory()  # before XLA starts its threads
        import jax

        jax.config.update("jax_enable_x64", True)
        keep_programs(jax, cache)
        self._jax = jax
        if layout is not None and mesh is None:
            raise ArgumentError("a layout needs a mesh", fix='mesh={"data": 4, "model": 2}')
        self.placement = None if mesh is None else Placement(mesh, layout or {})

    def load(self, cell: Cell) -> Any:
        """A JAX array, or the dict that Aesara's JAX dispatch takes for a random state."""
        data = cell.data
        if isinstance(data, self._jax.Array):
            return data
        if isinstance(cell, RandomState):
            if isinstance(data, dict) and isinstance(data["jax_state"], self._jax.Array):
                return data
            if not isinstance(data, dict):
                word = cell.generator().bit_generator.state["state"]["state"]
                halves = [word >> 32 & 0xFFFFFFFF, word & 0xFFFFFFFF]
                data = {"jax_state": np.array(halves, dtype="uint32")}
            return cell.keep({k: self._jax.numpy.asarray(v) for k, v in data.items()})
        if self.placement is not None:
            return cell.keep(self.placement.put(cell.numpy(), self.placement.of_cell(cell)))
        # a copy: on the CPU asarray may share NumPy's memory, which donation would destroy
        return cell.keep(self._jax.numpy.array(cell.numpy()))

    def folds(self, cell: Cell) -> bool:
        """Cells that are split over a mesh stay there: what is folded is whole on each device."""
        where = self.placement
        return where is None or where.of_cell(cell) == where.whole

    @property
    def multiple(self) -> int:
        """Rows are split over the axis ``data`` of the mesh, which other processes feed too."""
        return 1 if self.placement is None else self.placement.multiple

    def require_cells(self, store: Store) -> None:
        """Refuse a layout with a pattern that fits none of the cells.

        Raises
        ------
        UnknownNameError
            It names the cells with paths nearest to the pattern.
        """
        if self.placement is not None:
            self.placement.require_cells(store)

    def whole(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Several processes feed a batch together: its rows are those of all of them."""
        return tuple(shape) if self.placement is None else self.placement.rows(shape)

    def feed(self, arrays: Sequence[Any], axis: int = 0) -> Sequence[Any]:
        """The rows of this process put together with those of the others."""
        return arrays if self.placement is None else self.placement.feed(arrays, axis)

    def random_states(self, entropy: Sequence[int], n: int) -> Any:
        """``n`` keys split from one."""
        words = np.random.SeedSequence(list(entropy)).generate_state(2)
        return {"jax_state": self._jax.random.split(self._jax.numpy.asarray(words), n)}

    def mapped(self, run: Executable, count: int) -> Mapped:
        """All rows at once, as one vectorized program."""
        run = getattr(run, "program", run)

        def each(values: list[Any], rows: Sequence[Any], rest: Sequence[Any]) -> Any:
            return list(run([], values, [*rows, *rest])[0])

        return self._jax.jit(self._jax.vmap(each, in_axes=(None, 0, None)))

    def scanned(self, run: Executable) -> Executable:
        """A loop on the device: the states are its carry, and are donated."""
        run = getattr(run, "program", run)
        if not hasattr(run, "lower"):  # a graph in pieces, which one program cannot hold
            return super().scanned(run)

        def loop(states: list[Any], values: list[Any], rows: Sequence[Any]) -> Any:
            def each(carry: list[Any], row: Sequence[Any]) -> Any:
                outputs, advanced = run(carry, values, row)
                return advanced, outputs

            latest, outputs = self._jax.lax.scan(each, states, rows)
            return outputs, latest

        return self._jax.jit(loop, donate_argnums=0)

    def executable(
        self, graph: Graph, updated: Sequence[Variable], fixed: Sequence[Variable]
    ) -> Executable:
        """Translate Apply by Apply, then jit; XLA compiles at the first call.

        A graph in pieces keeps its old states until the new ones are there; others donate them.
        """
        nodes = toposort(graph.results, graph.inputs)
        if len(nodes) > LARGEST:
            evaluate = in_segments(nodes, graph.inputs, graph.results, self._jax.jit)
        else:
            evaluate = evaluator(graph.inputs, graph.results)
        n_inputs = len(graph.inputs) - len(updated) - len(fixed)
        n_outputs = len(graph.outputs)

        def step(states: list[Any], values: list[Any], arrays: Sequence[Any]) -> Any:
            assert len(arrays) == n_inputs
            results = evaluate([*arrays, *states, *values])
            return results[:n_outputs], results[n_outputs:]

        if len(nodes) > LARGEST:
            return step
        if self.placement is not None:
            rows = graph.inputs[:n_inputs]
            return Spread(self.placement, step, rows, updated, fixed, n_outputs)
        return self._jax.jit(step, donate_argnums=0)


def evaluator(
    inputs: Sequence[Variable], outputs: Sequence[Variable]
) -> Callable[[Sequence[Any]], list[Any]]:
    """A function of JAX values that computes ``outputs``, to be traced by JAX."""
    nodes = toposort(outputs, inputs)
    calls = [(node, _translate(node)) for node in nodes]
    position = {v: i for i, v in enumerate(inputs)}
    last_use = _last_use(nodes, outputs)

    def evaluate(values: Sequence[Any]) -> list[Any]:
        known: dict[Variable, Any] = {v: values[i] for v, i in position.items()}

        def value(v: Variable) -> Any:
            return v.data if isinstance(v, Constant) else known[v]

        for index, (node, call) in enumerate(calls):
            results = call(*(value(v) for v in node.inputs))
            if len(node.outputs) == 1 and not isinstance(results, tuple | list):
                results = (results,)
            known.update(zip(node.outputs, map(_as_declared, node.outputs, results), strict=True))
            for v in last_use.get(index, ()):
                known.pop(v, None)
        return [value(v) for v in outputs]

    return evaluate


def in_segments(
    nodes: Sequence[Apply],
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    jit: Callable[..., Any],
) -> Callable[[Sequence[Any]], list[Any]]:
    """Like :func:`evaluator` for ``nodes`` in order, each piece of them jitted on its own."""
    pieces = [nodes[i : i + SEGMENT] for i in range(0, len(nodes), SEGMENT)]
    needed = {v for v in outputs if not isinstance(v, Constant)}
    calls: list[tuple[list[Variable], list[Variable], Callable[..., Any]]] = []
    for piece in reversed(pieces):
        made = {o for node in piece for o in node.outputs}
        used = dict.fromkeys(v for node in piece for v in node.inputs)
        takes = [v for v in used if v not in made and not isinstance(v, Constant)]
        gives = [o for node in piece for o in node.outputs if o in needed]
        calls.append((takes, gives, jit(evaluator(takes, gives))))
        needed = (needed - made) | set(takes)
    calls.reverse()

    def evaluate(values: Sequence[Any]) -> list[Any]:
        known = dict(zip(inputs, values, strict=True))
        for takes, gives, call in calls:
            known.update(zip(gives, call([known[v] for v in takes]), strict=True))
        return [v.data if isinstance(v, Constant) else known[v] for v in outputs]

    return evaluate


def _as_declared(variable: Variable, value: Any) -> Any:
    """``value`` in the dtype of ``variable``: JAX promotes integers with floats otherwise."""
    dtype = getattr(variable.type, "dtype", None)
    same = dtype is None or str(getattr(value, "dtype", dtype)) == dtype
    return value if same else value.astype(dtype)


def _last_use(nodes: Sequence[Apply], outputs: Sequence[Variable]) -> dict[int, list[Variable]]:
    last: dict[Variable, int] = {}
    for i, node in enumerate(nodes):
        for v in node.inputs:
            last[v] = i
    kept = set(outputs)
    freed: dict[int, list[Variable]] = {}
    for v, i in last.items():
        if v not in kept and not isinstance(v, Constant):
            freed.setdefault(i, []).append(v)
    return freed


def _translate(node: Apply) -> Callable[..., Any]:
    """The JAX function for one Apply.

    Raises
    ------
    UnsupportedError
        When neither aeframe nor Aesara knows how to run it on JAX.
    """
    if isinstance(node.op, TypedOp):
        claimed = implementation("jax", node)
        if claimed is not None:
            return claimed
        inner_inputs = [v.type() for v in node.inputs]
        inner = evaluator(inner_inputs, node.op.inline(inner_inputs))
        return lambda *values: tuple(inner(values))
    from aesara.link.jax.dispatch import jax_funcify

    import aeframe.backends.jax.linalg
    import aeframe.backends.jax.ops
    import aeframe.backends.jax.random
    import aeframe.backends.jax.scan  # noqa: F401 (they repair the dispatch before it is used)

    try:
        call = jax_funcify(node.op, node=node)
    except UnsupportedError:
        raise
    except (NotImplementedError, AttributeError) as error:
        raise UnsupportedError(
            f"JAX cannot run {node.op}",
            path=getattr(node.tag, "path", None),
            got=str(error).splitlines()[0],
            fix='use backend="c" for this model',
        ) from error
    if isinstance(node.op, RandomVariable):
        # the dispatch changes the state it is given: hand it a copy
        return lambda rng, *rest: call(dict(rng), *rest)
    return call
