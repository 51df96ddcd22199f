"""The course's Gaussians and shares right, and the line hidden in one shared covariance."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import BernoulliNB, GaussianNB

from redoubt.studies.classification.classifiers import Covariance, answers, fit_gaussians, fit_logistic
from redoubt.studies.classification.generative import (
    COURSE_GAUSSIANS,
    PAIR,
    bernoulli_log_odds,
    log_likelihood,
    parameters,
    parts,
    share_less_likely,
    varying,
    with_total,
)
from redoubt.studies.given import STATS, Given
from tests.unit.studies.conftest import Run


def drawn(rows: int = 60, features: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    y = np.repeat([1.0, 0.0], [rows, 2 * rows])
    mix = rng.normal(size=(features, features))
    return rng.normal(size=(len(y), features)) @ mix + y[:, None] * np.arange(features), y


def test_the_courses_shares_right_come_out(course: Run) -> None:
    numbers = course("generative").numbers
    expected = {"2_separate": 51.4, "2_shared": 48.6, "6_separate": 64.3, "6_shared": 77.1, "6_logistic": 78.6}
    for name, per_cent in (expected | {"majority": 52.9}).items():
        assert 100 * numbers[f"test/{name}"] == pytest.approx(per_cent, abs=0.05), name


def test_the_courses_gaussians_come_out(course: Run) -> None:
    course("generative")
    types = Given(course=True, seed=20).types()
    assert [(types.train["type"] == name).sum() for name in ("Water", "Normal")] == [79, 61]
    assert [(types.test["type"] == name).sum() for name in ("Water", "Normal")] == [33, 37]
    model = fit_gaussians(*parts(types.train, PAIR), "separate")
    assert model.priors.round(2).tolist() == [0.56, 0.44]
    for index, (mean, covariance) in enumerate(COURSE_GAUSSIANS.values()):
        assert model.means[index] == pytest.approx(mean, abs=0.051)
        assert model.covariances[index] == pytest.approx(np.array(covariance), abs=0.51)


def test_sharing_helps_and_naive_bayes_lacks_what_correlates(course: Run) -> None:
    numbers = course("generative").numbers
    assert numbers["test/6_shared"] > numbers["test/6_separate"] > numbers["test/majority"]
    assert numbers["test/6_naive"] < numbers["test/6_shared"]
    assert numbers["mean_correlation"] > 0.25
    assert numbers["turtle/water"] > 0.85


@pytest.mark.parametrize("source", ["quick", "course"])
def test_bayes_and_the_sigmoid_are_one(source: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(source)("generative").numbers
    assert numbers["line_off"] < 1e-9
    assert numbers["less_likely_nearby"] == 1.0


@pytest.mark.parametrize("source", ["quick", "course"])
def test_the_seventh_feature_says_nothing_new(source: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(source)("generative").numbers
    assert numbers["rank/7_features"] == 6
    for kind in ("separate", "shared"):
        assert numbers[f"test/7_{kind}"] == numbers[f"test/6_{kind}"]


def test_the_covariance_of_seven_features_is_singular() -> None:
    x = parts(Given(course=False, seed=20).types().train, STATS)[0]
    assert np.linalg.matrix_rank(np.cov(with_total(x).T), hermitian=True) == 6
    assert varying(with_total(x)).shape == (7, 6)
    assert varying(x).shape == (6, 6)


def test_parameters_are_counted() -> None:
    assert [parameters(6, kind) for kind in ("separate", "shared", "naive")] == [54, 33, 24]


@pytest.mark.parametrize("kind", ["separate", "shared", "naive"])
def test_gaussians_answer_as_scikit_learns(kind: Covariance) -> None:
    x, y = drawn()
    others = {
        # It divides by N - 1 here, so its covariances are put in its place.
        "separate": QuadraticDiscriminantAnalysis(reg_param=0.0),
        "shared": LinearDiscriminantAnalysis(solver="lsqr"),
        "naive": GaussianNB(var_smoothing=0.0),
    }
    expected = others[kind].fit(x, y).predict_proba(x)[:, 1]
    tolerance = 5e-2 if kind == "separate" else 1e-9
    assert expit(fit_gaussians(x, y, kind).log_odds(x)) == pytest.approx(expected, abs=tolerance)


def test_log_odds_are_bayes_rule() -> None:
    x, y = drawn()
    model = fit_gaussians(x, y, "separate")
    joint = [
        prior * multivariate_normal(mean, covariance).pdf(x)
        for prior, mean, covariance in zip(model.priors, model.means, model.covariances, strict=True)
    ]
    assert expit(model.log_odds(x)) == pytest.approx(joint[0] / (joint[0] + joint[1]), abs=1e-9)


def test_the_line_is_the_log_odds() -> None:
    x, y = drawn()
    model = fit_gaussians(x, y, "shared")
    assert answers(model.line(), x) == pytest.approx(model.log_odds(x), abs=1e-9)


def test_likelihood_is_scipys_and_best_at_the_rows_own() -> None:
    x = drawn()[0]
    mean, covariance = x.mean(axis=0), np.cov(x.T, bias=True)
    assert log_likelihood(x, mean, covariance) == pytest.approx(multivariate_normal(mean, covariance).logpdf(x).sum())
    assert share_less_likely(x, 50, np.random.default_rng(0)) == 1.0


def test_yes_or_no_features_are_scikit_learns() -> None:
    x, y = drawn()
    yes = x > np.median(x, axis=0)
    expected = BernoulliNB(alpha=1.0).fit(yes, y).predict_proba(yes)[:, 1]
    assert expit(bernoulli_log_odds((x, y), x)) == pytest.approx(expected, abs=1e-9)


def test_newton_finds_scikit_learns_logistic_regression_also_for_a_stack() -> None:
    x, y = drawn()
    other = LogisticRegression(C=1 / 0.01, tol=1e-10, max_iter=1000).fit(x, y)
    weights = fit_logistic(np.stack([x, x[::-1]]), np.stack([y, y[::-1]]), ridge=0.01)
    for each in weights:
        assert each == pytest.approx([other.intercept_[0], *other.coef_[0]], abs=1e-4)


def test_newton_stays_finite_where_rows_are_separable() -> None:
    x = np.array([[-2.0], [-1.0], [1.0], [50.0]])
    weights = fit_logistic(x, np.array([0.0, 0.0, 1.0, 1.0]))
    assert np.isfinite(weights).all()
    assert ((answers(weights, x) > 0) == (x[:, 0] > 0)).all()
