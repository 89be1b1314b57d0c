"""Guides: families against SciPy, substitutions against priors, gradients against quadrature."""

import aesara.tensor as at
import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit, logit

import aeframe as ae
from aeframe.infer.variational import families
from aeframe.infer.variational.elbo import ascent
from aeframe.infer.variational.guide import ToGuide
from aeframe.infer.variational.parts import PartsOp, WholeOp
from aeframe.infer.variational.rules import ASVI, FULL_RANK, MEAN_FIELD
from aeframe.prob.density import log_density
from aeframe.prob.programs import lowered

LOCATED = {
    families.NormalFamily: stats.norm(1.5, 0.7),
    families.LogisticFamily: stats.logistic(1.5, 0.7),
    families.LaplaceFamily: stats.laplace(1.5, 0.7),
    families.GumbelFamily: stats.gumbel_r(1.5, 0.7),
    families.LogExponentialFamily: stats.gumbel_l(1.5, 0.7),
}


@pytest.mark.parametrize("family", LOCATED, ids=lambda f: f.__name__)
def test_draws_and_densities_are_those_of_the_family(family):
    noise = np.linspace(-3.0, 3.0, 9)
    z, x = at.dvectors("z", "x")
    op = family()
    parameters = at.as_tensor(1.5), at.as_tensor(0.7)
    exact = LOCATED[family]
    drawn = op.draw(z, *parameters).eval({z: noise})
    # a quantile transform: noise at its q-quantile gives a draw at its q- or (1 − q)-quantile
    np.testing.assert_allclose(np.sort(exact.cdf(drawn)), stats.norm.cdf(noise), rtol=1e-9)
    density = op.log_density(x, *parameters).eval({x: drawn})
    np.testing.assert_allclose(density, exact.logpdf(drawn).sum(), rtol=1e-9)


def test_half_normal_on_the_scale_of_its_logarithm():
    z, x = at.dvectors("z", "x")
    op, noise = families.LogHalfNormalFamily(), np.array([-2.0, -0.3, 0.1, 1.7])
    drawn = op.draw(z, at.as_tensor(np.log(3.0)), at.as_tensor(1.0)).eval({z: noise})
    np.testing.assert_allclose(np.exp(drawn), 3.0 * np.abs(noise))
    density = op.log_density(x, at.as_tensor(np.log(3.0)), at.as_tensor(1.0)).eval({x: drawn})
    exact = stats.halfnorm(scale=3.0).logpdf(np.exp(drawn)) + drawn
    np.testing.assert_allclose(density, exact.sum())


class One(ae.Model):
    """One site, nothing observed."""

    def __init__(self, distribution):
        self.distribution = distribution

    def __call__(self):
        self.sample("x", self.distribution)


EXACT = [
    ae.Normal([1.0, 2.0], 3.0),
    ae.LogNormal(0.5, 0.8),
    ae.DoubleExponential(1.0, 2.0),
    ae.Logistic(1.0, 2.0),
    ae.Gumbel(1.0, 2.0),
    ae.HalfNormal(2.0),
    ae.Exponential(2.0),
    ae.Weibull(1.7, 2.0),
    ae.Rayleigh(2.0),
    ae.Uniform(-1.0, 3.0),
    ae.MultivariateNormal([1.0, -1.0], [[2.0, 0.6], [0.6, 1.0]]),
    ae.Transformed(ae.Normal(0.5, 2.0), at.exp),
    ae.Transformed(ae.Normal(0.5, 2.0), lambda z: 1.0 - 3.0 * z),
    ae.Transformed(ae.Normal([0.5, 1.0], 2.0), lambda z: z * -2.0 + 1.0),
    ae.Transformed(ae.Normal(0.5, 2.0), lambda z: 3.0 - z, ae.Real()),
    ae.Bernoulli(0.3),
    ae.Bernoulli(logits=-1.0),
    ae.Categorical([0.2, 0.5, 0.3]),
    ae.Categorical(logits=[0.2, 0.5, 0.3]),
]
CLOSE = [  # of heavy tails, or of another shape: what is lost
    (ae.StudentT(5.0, 1.0, 2.0), 0.15),
    (ae.HalfCauchy(2.0), 0.8),
    (ae.HalfStudentT(4.0, 2.0), 0.3),
    (ae.Gamma(3.0, 2.0), 0.1),
    (ae.InverseGamma(4.0, 2.0), 0.1),
    (ae.ChiSquared(5.0), 0.1),
    (ae.InverseGaussian(1.0, 3.0), 0.05),
    (ae.Beta(3.0, 4.0), 0.05),
]


def prior_ratios(distribution, rules=ASVI, n=2000):
    """log p − log q of draws of a guide whose λ are 1: the substituted prior."""
    graph = lowered(One(distribution), ())
    guide = ToGuide(rules).guide(graph)
    vector = np.zeros(guide.size)
    conditional = guide.conditionals["x"]
    for learned in filter(None, conditional.learned):
        if learned.weight is None:
            continue
        places = PartsOp(guide.shapes).places
        vector[slice(*places[learned.weight])] = 60.0  # sigmoid is 1
        if isinstance(learned.support, ae.Positive):
            vector[slice(*places[learned.own])] = -80.0  # no precision of its own
    ratio = log_density(graph, guide.values) - guide.log_q
    inputs = [guide.noise, guide.held, guide.vector]
    program = ae.Backend("jax").compile(inputs, [ratio])
    noise = np.random.default_rng(0).standard_normal((n, len(guide.center)))
    return np.asarray(program.map([noise], vector, vector)[0])


@pytest.mark.parametrize("distribution", EXACT, ids=lambda d: type(d).__name__)
def test_substitutions_that_are_the_prior(distribution):
    np.testing.assert_allclose(prior_ratios(distribution, n=200), 0.0, atol=1e-8)


@pytest.mark.parametrize(("distribution", "lost"), CLOSE, ids=lambda d: type(d).__name__)
def test_substitutions_that_are_close_to_the_prior(distribution, lost):
    # −E_q[log p/q] is the Kullback-Leibler divergence of the two
    ratios = prior_ratios(distribution)
    assert np.isfinite(ratios).all()
    assert -3 * ratios.std() / np.sqrt(len(ratios)) < -ratios.mean() < lost


@pytest.mark.parametrize("distribution", [ae.Dirichlet([2.0, 3.0, 4.0]), ae.LKJCholesky(3, 2.0)])
@pytest.mark.parametrize("rules", [ASVI, MEAN_FIELD, FULL_RANK], ids=["asvi", "mean", "full"])
def test_any_continuous_support_has_a_guide(distribution, rules):
    model = One(distribution)
    posterior = model.fit(inference=ae.StructuredVI(rules=rules, steps=1000, progress=False))
    # nothing is observed: the log evidence is 0
    assert -0.2 < posterior.elbo.value < 3 * posterior.elbo.error


class Switch(ae.Model):
    """A discrete site above a continuous one, and a scale."""

    def __call__(self):
        on = self.sample("on", ae.Bernoulli(0.3))
        x = self.sample("x", ae.Normal(2.0 * on, 1.5))
        self.sample("y", ae.Normal(x, 0.5))


# logits of `on`: own, λ; location of `x`: own; precision of `x`: own, λ
VECTOR = np.array([0.4, -0.3, 0.8, -0.5, 0.1])


def exact_elbo(v):
    """By summing over the discrete site and quadrature over the other."""
    p = expit(expit(v[1]) * logit(0.3) + v[0])
    kept, own = expit(v[4]) / 1.5**2, np.exp(v[3])
    sd = (kept + own) ** -0.5
    total = 0.0
    for on, q in ((0, 1 - p), (1, p)):
        guide = stats.norm((kept * 2.0 * on + own * v[2]) * sd**2, sd)

        def integrand(x, on=on, guide=guide, q=q):
            joint = np.log([0.7, 0.3][on]) + stats.norm(2.0 * on, 1.5).logpdf(x)
            joint += stats.norm(x, 0.5).logpdf(1.4)
            return guide.pdf(x) * (joint - np.log(q) - guide.logpdf(x))

        found, _ = integrate.quad(integrand, guide.mean() - 9 * sd, guide.mean() + 9 * sd)
        total += q * found
    return total


def test_gradient_of_the_elbo_is_unbiased():
    graph = lowered(Switch().observe({"y": 1.4}), ())
    guide = ToGuide(ASVI).guide(graph)
    found = ascent(graph, guide, [], at.constant(-2.0))
    program = ae.Backend("jax").compile(
        [guide.noise, guide.vector], [found.bound, *found.gradients]
    )
    noise = np.random.default_rng(1).standard_normal((100_000, 2))
    bounds, gradients = (np.asarray(v) for v in program.map([noise], VECTOR))
    step = 1e-4 * np.eye(5)
    exact = [(exact_elbo(VECTOR + h) - exact_elbo(VECTOR - h)) / 2e-4 for h in step]
    for got, wanted in ((bounds, exact_elbo(VECTOR)), *zip(gradients.T, exact, strict=True)):
        assert abs(got.mean() - wanted) < 4.5 * got.std() / np.sqrt(len(noise))
    assert np.abs(exact).min() > 0.01  # each entry is put to the test


def test_the_gradient_has_no_noise_where_the_guide_is_the_posterior():
    graph = lowered(One(ae.Normal(1.0, 2.0)), ())
    guide = ToGuide(MEAN_FIELD).guide(graph)
    found = ascent(graph, guide, [], at.constant(0.0))
    program = ae.Backend("c").compile([guide.noise, guide.vector], list(found.gradients))
    for noise in (-2.0, 0.3, 1.1):
        gradient = program(np.array([noise]), np.array([1.0, np.log(2.0)]))[0]
        np.testing.assert_allclose(gradient, 0.0, atol=1e-12)


@pytest.mark.parametrize("backend", ["jax", "c"])
def test_parts_and_the_whole(backend):
    shapes = ((2,), (), (2, 3))
    v = at.TensorType("float64", (9,))("v")
    a, b, c = PartsOp(shapes).make_node(v).outputs
    whole = WholeOp(shapes)(a * 2.0, at.exp(b), c)
    cost = (whole * np.arange(9.0)).sum() + (c**2).sum()
    program = ae.Backend(backend).compile([v], [whole, *ae.grad(cost, [v])])
    value = np.linspace(-1.0, 1.0, 9)
    got, gradient = program(value)
    wanted = value.copy()
    wanted[:2] *= 2.0
    wanted[2] = np.exp(value[2])
    np.testing.assert_allclose(got, wanted)
    slope = np.arange(9.0) * np.r_[2.0, 2.0, np.exp(value[2]), np.ones(6)]
    slope[3:] += 2 * value[3:]
    np.testing.assert_allclose(gradient, slope)


def test_the_pass_makes_a_graph_of_draws():
    model = Switch().observe({"y": 1.4})
    model.init(0)  # what is observed has a draw too
    graph, report = ToGuide(ASVI)(lowered(model, ()))
    noise, vector = graph.inputs
    assert (noise.type.shape, vector.type.shape) == ((2,), (5,))
    assert [s.path for s in report.steps] == ["on", "x"]
    program = ae.Backend("c").compile([noise, vector], list(graph.outputs))
    on, x, y = program(np.array([-1.0, 0.0]), np.zeros(5))
    assert (int(on), float(y)) == (1, 1.4)
    np.testing.assert_allclose(x, 2.0 * (0.5 / 2.25) / (0.5 / 2.25 + 1.0))
