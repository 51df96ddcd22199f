"""An answer does not depend on what runs beside it, and certificates are what was asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from redoubt.bundle.base.types import Floats
from redoubt.bundle.certificates import certified_eps
from redoubt.bundle.model.guarded_model import GuardedModel
from serving.answers import Ask, Champion, answer, reply
from serving.guarded import largest_eps
from serving.runtime import Runtime, load
from serving.schema import Certify, PredictResponse
from tests.support.bundles import SCHEMAS

ZOO = Path(__file__).resolve().parents[2] / "zoo"
KINDS: list[Certify] = ["none", "budget", "radius"]


def inputs(champion: Champion, count: int) -> Floats:
    """Inputs of the champion's task."""
    rng = np.random.default_rng(5)
    if champion.schema.kind == "image":
        return rng.random((count, *champion.schema.shape), dtype=np.float32)
    return champion.schema.encode(
        [{"cp": rng.uniform(10, 900), "hp": rng.uniform(10, 90), "species": "Eevee"} for _ in range(count)]
    )


def numbers(value: Any) -> Any:
    """The same with NumPy's numbers as Python's."""
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))


@pytest.fixture(scope="module")
def champions(loaded: Runtime) -> dict[str, Champion]:
    """Tiny ones, and the zoo's."""
    return loaded.champions | load(ZOO).champions


@pytest.mark.parametrize("certify", KINDS)
@pytest.mark.parametrize("name", [*SCHEMAS, "mnist-adversarial", "mnist-certified"])
def test_together_is_as_alone(name: str, certify: Certify, champions: dict[str, Champion]) -> None:
    ask = Ask(champions[name], certify)
    x = inputs(ask.champion, 8)
    draws = ask.champion.model.guard.draw(np.random.default_rng(1), len(x))
    together = numbers(answer(ask, x, draws))
    for row, said in enumerate(together):
        part = slice(row, row + 1)
        (alone,) = numbers(answer(ask, x[part], {key: each[part] for key, each in draws.items()}))
        for key in ("label", "flagged", "outside"):
            assert alone.get(key) == said.get(key)
        assert alone.get("probabilities", {}) == pytest.approx(said.get("probabilities", {}), abs=1e-7)
        assert alone["adversarial_score"] == pytest.approx(said["adversarial_score"], rel=1e-5, abs=1e-6)
        if ask.champion.schema.is_classification:
            assert alone["variants"] == said["variants"]
            assert alone["certified"] == said["certified"]
        else:
            assert alone["variants"] == pytest.approx(said["variants"], rel=1e-6)


def test_the_budget_is_proven_where_the_radius_reaches_it(champions: dict[str, Champion]) -> None:
    champion = champions["mnist-certified"]
    example = orjson.loads((ZOO / "mnist-certified" / "example.json").read_bytes())["inputs"]
    x = np.concatenate([champion.read(example), inputs(champion, 6)])
    draws = champion.model.guard.draw(np.random.default_rng(1), len(x))
    budget, radius = (numbers(answer(Ask(champion, kind), x, draws)) for kind in ("budget", "radius"))
    for one, other in zip(budget, radius, strict=True):
        assert one["certified"]["eps"] in (0.0, champion.eps)
        # A radius is rounded down to a 64th of the range that is searched.
        assert one["certified"]["eps"] <= other["certified"]["eps"] + largest_eps(champion.schema) / 64
        assert one["certified"]["eps"] == champion.eps or other["certified"]["eps"] <= champion.eps
    assert {each["certified"]["eps"] for each in budget} == {0.0, champion.eps}


def test_the_radius_is_that_of_the_draws_of_the_answer(champions: dict[str, Champion]) -> None:
    champion = champions["mnist-certified"]
    x = champion.read(orjson.loads((ZOO / "mnist-certified" / "example.json").read_bytes())["inputs"])
    model = GuardedModel.load(ZOO / "mnist-certified", threads=1)
    label = model.predict(x, np.random.default_rng(7)).vote.argmax(axis=1)
    expected = certified_eps(model, x, label, 7, largest_eps(champion.schema))
    draws = model.guard.draw(np.random.default_rng(7), len(x))
    said = numbers(answer(Ask(champion, "radius"), x, draws))
    assert [each["certified"]["eps"] for each in said] == expected.tolist()


@pytest.mark.parametrize("certify", KINDS)
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_reply_fits_its_schema_and_says_what_was_asked(
    name: str, certify: Certify, champions: dict[str, Champion]
) -> None:
    ask = Ask(champions[name], certify)
    said = PredictResponse.model_validate_json(reply(name, ask, ask.answer(inputs(ask.champion, 3))))
    assert said.certify == certify
    assert all((each.certified is None) == (certify == "none") for each in said.predictions)


def test_numbers_are_written_by_the_shortest_decimal_that_names_them() -> None:
    values = np.random.default_rng(0).standard_normal(2000).astype(np.float32) ** 5
    written = orjson.dumps(list(values), option=orjson.OPT_SERIALIZE_NUMPY)
    assert orjson.loads(written) == [float(str(value)) for value in values]


@pytest.mark.parametrize("name", [*SCHEMAS, "mnist-certified"])
def test_several_eps_are_certified_as_each_alone(name: str, champions: dict[str, Champion]) -> None:
    champion = champions[name]
    x, eps = inputs(champion, 5), champion.eps
    draws = champion.model.guard.draw(np.random.default_rng(1), len(x))
    sizes = (eps / 4, eps, 2 * eps)
    together = numbers(answer(Ask(champion, "budget", sizes), x, draws))
    plain = numbers(answer(Ask(champion, "budget"), x, draws))
    for row, each in enumerate(together):
        assert each["certified"] is not None
        told = each["certified"].pop("at")
        assert each == plain[row]
        assert [at["eps"] for at in told] == pytest.approx(sizes)
        for at, size in zip(told, sizes, strict=True):
            (alone,) = numbers(
                answer(
                    Ask(replace(champion, eps=size), "budget"),
                    x[row : row + 1],
                    {key: value[row : row + 1] for key, value in draws.items()},
                )
            )
            if champion.schema.is_classification:
                assert at["holds"] == (alone["certified"]["eps"] > 0)
            else:
                assert (at["low"], at["high"]) == pytest.approx((alone["certified"]["low"], alone["certified"]["high"]))


def test_the_ends_of_a_number_are_those_of_one_pass(champions: dict[str, Champion]) -> None:
    champion = champions["evolution"]
    x, model = inputs(champion, 6), champion.model
    draws = model.guard.draw(np.random.default_rng(1), len(x))
    expected = model.prove_drawn(x, champion.eps, draws).mean(axis=1)
    found = [each["certified"] for each in answer(Ask(champion, "budget"), x, draws)]
    assert np.array_equal([[each["low"], each["high"]] for each in found], expected)
