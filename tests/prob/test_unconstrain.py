"""The unconstrained scale against changes of variables by hand."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import approx_fprime

import aeframe as ae
from aeframe.core.errors import ArgumentError, ShapeError, UnknownNameError


class Line(ae.Model):
    def __call__(self, x):
        slope = self.sample("slope", ae.Normal(0, 5))
        sd = self.sample("sd", ae.HalfNormal(2))
        mean = self.deterministic("mean", slope * x)
        self.sample("y", ae.Normal(mean, sd))


X, Y = np.array([0.5, 1.0, -2.0]), np.array([1.0, 2.5, -3.0])


@pytest.fixture(params=["jax", "c"])
def flat(request):
    with ae.Backend(request.param):
        yield Line().observe({"y": Y}).unconstrain(X)


def test_density_has_the_jacobian_of_the_supports(flat):
    u = np.array([0.7, -0.4])
    sd = np.exp(u[1])
    exact = stats.norm(0, 5).logpdf(0.7) + stats.halfnorm(0, 2).logpdf(sd) + u[1]
    exact += stats.norm(0.7 * X, sd).logpdf(Y).sum()
    np.testing.assert_allclose(flat.log_prob(u), exact, rtol=1e-12)
    np.testing.assert_allclose(flat.gradient(u), approx_fprime(u, flat.log_prob), atol=1e-5)


def test_values_and_vector_are_inverse(flat):
    u = np.array([0.7, -0.4])
    values = flat.values(u)
    assert list(values) == ["slope", "sd", "mean"]
    np.testing.assert_allclose(values["mean"], 0.7 * X)
    np.testing.assert_allclose(flat.vector(values), u)


def test_wrong_uses(flat):
    with pytest.raises(ShapeError, match="no place"):
        flat.log_prob(np.zeros(3))
    with pytest.raises(UnknownNameError, match="cannot place 'sd'"):
        flat.vector({"slope": 1.0})

    class Coin(ae.Model):
        def __call__(self):
            self.sample("z", ae.Bernoulli(0.5))

    with pytest.raises(ArgumentError, match="'z' is discrete"):
        Coin().unconstrain()
    with pytest.raises(ArgumentError, match="nothing to infer"):
        Coin().observe({"z": 1}).unconstrain()
