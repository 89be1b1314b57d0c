"""Model: a generative program that lowers to one graph of random variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import MappingProxyType
from typing import Any, NoReturn, Self

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from aesara.graph.type import Type

from aeframe.backends import to_numpy
from aeframe.core.cells import RandomState
from aeframe.core.errors import ArgumentError, StateError
from aeframe.core.module import Module, graph_method, is_array
from aeframe.core.supports import Real
from aeframe.core.trace import current_trace
from aeframe.distributions import Distribution
from aeframe.distributions.base import as_parameter
from aeframe.prob.density import free_sites, log_density
from aeframe.prob.observe import Observe, numbers
from aeframe.prob.plates import Plate, as_dims, declare, draw, require_dims
from aeframe.prob.programs import (
    accepts,
    arguments,
    backend_of,
    cached,
    lowered,
    require_data,
    takes_data,
)
from aeframe.prob.simulate import Draws, simulate
from aeframe.prob.sites import (
    SiteOp,
    find_site,
    full_name,
    record,
    require_fitting,
    require_possible,
    site_prefix,
)
from aeframe.prob.unconstrain import Unconstrained, unconstrain


class Model(Module):
    """A probabilistic program: subclass it, and sample in ``__call__``.

    Data are the arguments of ``__call__``. Sites have names; those of a Model inside a Model
    start with its path. What ``__call__`` returns is the model's value where it is used inside
    another; when it returns nothing, the value is the dict of its sites.

    >>> from aeframe.distributions import HalfNormal, Normal
    >>> class Line(Model):
    ...     def __call__(self, x):
    ...         slope = self.sample("slope", Normal(0, 5))
    ...         sd = self.sample("sd", HalfNormal(1))
    ...         self.sample("y", Normal(slope * x, sd))
    >>> x = np.array([1.0, 2.0])
    >>> line = Line().observe({"y": np.array([2.0, 4.0])})
    >>> round(float(line.log_prob({"slope": 2.0, "sd": 1.0}, x)), 4)
    -5.172
    """

    dtype: str = "float64"
    random_state: RandomState
    _seen: tuple[Any, ...] = ()
    _names: tuple[str, ...] = ()
    _plates: Mapping[str, Plate] = MappingProxyType({})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """A Model with a stream of random numbers of its own."""
        made = super().__new__(cls)
        made.random_state = RandomState()
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "__call__" in vars(cls):
            setattr(cls, "__call__", _with_sites(vars(cls)["__call__"]))  # noqa: B010
        super().__init_subclass__(**kwargs)

    def sample(
        self,
        name: str,
        distribution: Distribution,
        shape: int | Sequence[int | Variable] | None = None,
        dims: str | Sequence[str | None] | None = None,
    ) -> Variable:
        """A random site: a draw of ``distribution``.

        Parameters
        ----------
        name
            Of the site, its own in the model.
        distribution
            Its entries are independent given its arguments.
        shape
            Of the draw, a number for one axis; by default that of ``dims`` where these are
            declared, else of the arguments.
        dims
            A name for each axis, see :meth:`plate`.

        Raises
        ------
        NameTakenError
            When the model has a site of that name.
        ShapeError
            When the arguments, the shape and the dims do not fit each other.
        UnknownNameError
            When a dim is new and close to the name of a plate.
        """
        full = full_name(name)
        names = as_dims(full, dims)
        if not isinstance(distribution, Distribution):
            raise ArgumentError(
                f"the site {name!r} needs a distribution",
                path=full,
                expected='self.sample("mu", ae.Normal(0, 1))',
                got=repr(distribution),
            )
        state = self.random_state.read()
        advanced, drawn = draw(full, distribution, state, shape, names)
        require_dims(full, names, drawn)
        self.random_state.write(advanced)
        arguments = [as_parameter(full, a) for a in distribution.support_arguments()]
        return record(SiteOp(full, "random", distribution.support, names)(drawn, *arguments))

    def deterministic(
        self, name: str, value: Any, dims: str | Sequence[str | None] | None = None
    ) -> Variable:
        """A computed site: ``value`` under a name that draws show and interventions can set."""
        full = full_name(name)
        names, variable = as_dims(full, dims), at.as_tensor_variable(value)
        require_dims(full, names, variable)
        return record(SiteOp(full, "deterministic", Real(), names)(variable))

    @staticmethod
    def from_graph(sites: Mapping[str, Variable], inputs: Sequence[Variable] = ()) -> Model:
        """A Model of a graph of Aesara random variables, which no file can hold.

        ``save`` refuses it, as the graph is Aesara's: write it as a class to keep it in a file.

        Parameters
        ----------
        sites
            Name → variable: a random variable, or an expression of some. Random variables above
            them that have a name are sites too.
        inputs
            The symbols that stand for data, in the order of the Model's arguments.

        Raises
        ------
        ArgumentError, StateError
            When there is no random variable, or the graph depends on other symbols.

        >>> import aesara.tensor as at
        >>> srng = at.random.RandomStream(0)
        >>> mu = srng.normal(0.0, 5.0, name="mu")
        >>> model = Model.from_graph({"y": srng.normal(mu, 1.0, size=(3,))})
        >>> round(float(model.log_prob({"mu": 1.0, "y": np.ones(3)})), 4)
        -5.3052
        """
        from aeframe.prob.graph_model import from_graph

        return from_graph(sites, inputs)

    def plate(self, name: str, entries: int | Sequence[Any]) -> str:
        """Declare the dimension ``name``, by its size or by a label for each of its entries.

        Sites with ``dims=name`` are then drawn once for each entry, independently given their
        arguments. Returns the name.

        >>> from aeframe.distributions import Normal
        >>> class Schools(Model):
        ...     def __call__(self):
        ...         self.plate("school", ["A", "B", "C"])
        ...         self.sample("effect", Normal(0, 5), dims="school")
        >>> Schools().prior_predictive(10)["effect"].shape
        (10, 3)
        """
        return declare(name, entries)

    @graph_method
    def expression(self, *data: Any) -> dict[str, Variable]:
        """All sites by name, in order; without the data it takes, on symbols like the last."""
        if not data and not accepts(self, data):
            data = tuple(t() if isinstance(t, Type) else t for t in self._seen)
            data = data or arguments(self, ()).symbols()
        require_data(self, data)
        self._seen = tuple(v.type if isinstance(v, Variable) else v for v in data)
        trace = current_trace()
        assert trace is not None
        known = len(trace.sites)
        self(*data)
        names = list(trace.sites)[known:]
        prefix = site_prefix()
        self._plates = dict(trace.plates)
        if not takes_data(self):
            self._names = tuple(name.removeprefix(prefix) for name in names)
        return {name: trace.sites[name] for name in names}

    def read(self, *data: Any) -> tuple[Any, ...]:
        """Data as the arguments of a call: a Model on frames makes arrays of them here."""
        return data

    def observe(self, values: Mapping[str, Any]) -> Self:
        """A Model that shares the cells of this one, with sites at the values that were seen.

        Raises
        ------
        UnknownNameError
            When there is no such site.
        DataError, ShapeError
            When a value is impossible for its site, or has another shape; at the first use.
        """
        self.require_names(values, "observe")
        return self.with_pass(Observe(values))

    def intervene(self, changes: Mapping[str, Any]) -> Self:
        """A Model that shares the cells of this one, with sites set; see :mod:`aeframe.causal`."""
        from aeframe.causal import intervene

        return intervene(self, changes)

    def counterfactual(self, *data: Any, **query: Any) -> Any:
        """What a unit that was seen would have been: see :func:`aeframe.causal.counterfactual`."""
        from aeframe.causal import counterfactual

        return counterfactual(self, *data, **query)

    def log_prob(self, values: Mapping[str, Any], *data: Any) -> Any:
        """The log joint density of all drawn sites, with ``values`` for those not observed.

        Symbolic when a value or the data is, else a number.

        Raises
        ------
        UnknownNameError
            When a site that is not observed has no value, or a value has no site.
        DensityError
            When a site has no density.
        """
        if any(isinstance(v, Variable) for v in (*values.values(), *data)):
            data = tuple(at.as_tensor(v) if is_array(v) else v for v in self.read(*data))
            graph = lowered(self, data)
            nodes = free_sites(graph)
            symbolic = {
                k: require_fitting(_free(k, nodes), at.as_tensor_variable(v), "give a value to")
                for k, v in values.items()
            }
            return log_density(graph, symbolic)
        given = arguments(self, data)
        names = tuple(values)

        def make() -> Any:
            graph = lowered(self, given.symbols())
            nodes = free_sites(graph)
            inputs = {k: _free(k, nodes).outputs[0].type(name=k) for k in names}
            total = log_density(graph, inputs)
            return backend_of(self).compile([*inputs.values(), *graph.inputs], [total]), nodes

        program, nodes = cached(self, ("log_prob", repr(given.types), names), make)
        arrays = [_exact(_free(k, nodes), values[k]) for k in names]
        self.init()
        return to_numpy(program(*arrays, *given.arrays)[0])

    def unconstrain(self, *data: Any) -> Unconstrained:
        """The model on data as a density over one vector of real numbers.

        Each free site has a block of the vector, which its support maps to its value.

        Raises
        ------
        ArgumentError
            When a free site is discrete, or nothing is free.

        >>> from aeframe.distributions import HalfNormal
        >>> class Scale(Model):
        ...     def __call__(self):
        ...         self.sample("sd", HalfNormal(1))
        >>> flat = Scale().unconstrain()
        >>> float(flat.values(np.zeros(1))["sd"]), round(flat.log_prob(np.zeros(1)), 4)
        (1.0, -0.7258)
        """
        return unconstrain(self, data)

    def prior_predictive(self, n: int, *data: Any, seed: int = 0) -> Draws:
        """``n`` draws of all sites, site → array (n, ...).

        Observed and set sites keep their values. The model's own random stream is not used; the
        same seed gives the same draws.
        """
        return simulate(self, n, data, seed)

    def fit(self, *data: Any, inference: Any = None) -> Any:
        """Infer the sites that are not observed; returns a :class:`aeframe.infer.Posterior`."""
        from aeframe.infer import fit

        return fit(self, data, inference)

    def require_names(self, names: Mapping[str, Any], verb: str) -> None:
        """Refuse names that no site has, where data cannot change the sites and they are known."""
        if not isinstance(names, Mapping) or not names:
            raise ArgumentError(
                f"{verb.split()[0]} takes a dict of sites", expected='{"x": 1.0}', got=repr(names)
            )
        for name in names:
            if self._names and not str(name).endswith(".natural"):
                find_site(name, dict.fromkeys(self._names), verb)

    def compile(self, **options: Any) -> NoReturn:
        """Refuse: a Model is fitted by an Inference, not by a Trainer."""
        raise ArgumentError(
            "a Model is not compiled with an optimizer and a loss",
            path=type(self).__name__,
            fix="model.observe({...}).fit(data, inference=ae.MAP())",
        )

    def predict(self, *data: Any, **options: Any) -> NoReturn:
        """Refuse: a prediction needs a posterior."""
        raise StateError(
            "a Model predicts from its posterior",
            path=type(self).__name__,
            fix="posterior = model.observe({...}).fit(x); posterior.predict(new_x)",
        )


def _with_sites(call: Callable[..., Any]) -> Callable[..., Any]:
    """``call`` returning the dict of its sites, by their names in the model, if it returns none."""

    @wraps(call)
    def wrapped(self: Model, *args: Any, **kwargs: Any) -> Any:
        trace = current_trace()
        assert trace is not None
        known = len(trace.sites)
        made = call(self, *args, **kwargs)
        if made is not None:
            return made
        prefix = site_prefix()
        names = list(trace.sites)[known:]
        return {name.removeprefix(prefix): trace.sites[name] for name in names}

    return wrapped


def _free(name: str, nodes: Mapping[str, Any]) -> Any:
    return find_site(name, nodes, "give a value to")


def _exact(node: Any, value: Any) -> Any:
    """A value as an array of the site's type; the density says what lies outside its support."""
    kind = node.outputs[0].type
    array = numbers(node.op.name, value)
    symbol = at.TensorType(str(array.dtype), array.shape)()
    require_fitting(node, symbol, "give a value to")
    exact = array.astype(kind.dtype)
    if not np.array_equal(exact, array):
        require_possible(node, array, "give a value to")
    return exact
