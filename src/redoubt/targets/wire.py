"""How four protocols ask a model over HTTP, and which of them a URL speaks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from redoubt.core.types import Floats
from redoubt.targets.contract import Opening, TargetError

PROTOCOLS = ("redoubt", "oip", "mlflow", "tensorflow-serving")
# What the parts of an address say.
HINTS = (("/v1/models/", "tensorflow-serving"), ("/v2", "oip"), ("/invocations", "mlflow"), ("/predict", "redoubt"))
# A page that only such a server has, and a word that is in it.
PAGES = (("redoubt", "/docs.json", "/predict_image"), ("oip", "/v2", "name"), ("mlflow", "/version", "."))


@dataclass(frozen=True)
class Wire:
    """One way to ask.

    Attributes:
        name: of the protocol.
        path: that is posted to.
        body: of a request for some inputs.
        read: labels or scores out of the answer.
    """

    name: str
    path: str
    body: Callable[[Floats], dict[str, Any]]
    read: Callable[[dict[str, Any]], Any]


def find_wire(http: httpx.Client, url: httpx.URL, opening: Opening) -> Wire:
    """The protocol that is told, that the address tells, or that the server speaks when it is asked.

    Raises:
        TargetError: none, or one that needs the name of a model or task.
    """
    name = opening.protocol or next((name for part, name in HINTS if part in url.path), None) or _asked(http)
    if name is None:
        raise TargetError(
            f"{url} answers none of {', '.join(PROTOCOLS)} when it is asked; tell it with --protocol, and the model's"
            " name with --model where it serves several"
        )
    return _WIRES[name](http, url, opening)


def _asked(http: httpx.Client) -> str | None:
    for name, page, word in PAGES:
        try:
            answer = http.get(page)
        except httpx.HTTPError:
            continue
        if answer.status_code == httpx.codes.OK and word in answer.text:
            return name
    return None


def _named(url: httpx.URL, opening: Opening, after: str) -> str:
    """The model's name, as told or as the address has it."""
    inside = url.path.split(after)[1].split("/")[0].split(":")[0] if after in url.path else ""
    name = opening.model or inside
    if not name:
        raise TargetError(f"{url} serves models by name: say which with --model NAME")
    return name


def _redoubt(http: httpx.Client, url: httpx.URL, opening: Opening) -> Wire:
    if not opening.model:
        raise TargetError(f"{url} serves tasks by name: say which with --model TASK")
    task = opening.model

    def body(x: Floats) -> dict[str, Any]:
        return {"task": task, "inputs": _rows(x, opening.features)}

    return Wire("redoubt", "/predict", body, lambda answer: _predictions(answer["predictions"], opening.labels))


def _mlflow(http: httpx.Client, url: httpx.URL, opening: Opening) -> Wire:
    def body(x: Floats) -> dict[str, Any]:
        if x.ndim == 2 and opening.features:
            return {"dataframe_split": {"columns": list(opening.features), "data": x.astype(float).tolist()}}
        return {"inputs": x.astype(float).tolist()}

    path = "/invocations" if opening.model is None else f"/invocations?task={opening.model}"
    return Wire("mlflow", path, body, lambda answer: _predictions(answer["predictions"], opening.labels))


def _serving(http: httpx.Client, url: httpx.URL, opening: Opening) -> Wire:
    path = f"/v1/models/{_named(url, opening, '/v1/models/')}:predict"
    return Wire(
        "tensorflow-serving",
        path,
        lambda x: {"instances": x.astype(float).tolist()},
        lambda answer: _predictions(answer["predictions"], opening.labels),
    )


def _oip(http: httpx.Client, url: httpx.URL, opening: Opening) -> Wire:
    name = _named(url, opening, "/v2/models/")
    try:
        answer = http.get(f"/v2/models/{name}")
        described = answer.json()
        inputs = described["inputs"]
        first = inputs[0]["name"], inputs[0]["datatype"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
        raise TargetError(f"{url} does not describe a model '{name}' ({type(error).__name__}: {error})") from None

    def body(x: Floats) -> dict[str, Any]:
        if len(inputs) == 1:
            return {"inputs": [_tensor(*first, x)]}
        if x.ndim != 2 or x.shape[1] != len(inputs):
            raise TargetError(f"{url}: model '{name}' takes {len(inputs)} tensors; the examples have {x.shape[1:]}")
        columns = x.reshape(len(x), len(inputs), 1)
        return {"inputs": [_tensor(i["name"], i["datatype"], columns[:, n]) for n, i in enumerate(inputs)]}

    return Wire("oip", f"/v2/models/{name}/infer", body, _of_tensors)


def _tensor(name: str, datatype: str, x: Floats) -> dict[str, Any]:
    if datatype.startswith(("INT", "UINT")):
        values: list[Any] = np.round(x).astype(int).ravel().tolist()
    elif datatype.startswith("FP"):
        values = x.astype(float).ravel().tolist()
    else:
        raise TargetError(f"the model's input '{name}' is of type {datatype}; expected numbers")
    return {"name": name, "datatype": datatype, "shape": list(x.shape), "data": values}


def _of_tensors(answer: dict[str, Any]) -> Any:
    """Scores, if any output has them: one called so, else the first of floating point with more than one column."""
    outputs = {each["name"]: each for each in answer["outputs"]}
    floating = [each for each in outputs.values() if str(each["datatype"]).startswith("FP")]
    named = [each for each in floating if "prob" in each["name"] or "logit" in each["name"]]
    wide = [each for each in floating if len(each["shape"]) == 2 and each["shape"][1] > 1]
    chosen = (named or wide or floating or list(outputs.values()))[0]
    return np.array(chosen["data"]).reshape(chosen["shape"])


def _rows(x: Floats, features: Sequence[str]) -> list[Any]:
    if x.ndim == 2:
        if not features:
            raise TargetError("this service takes records by name: give the examples as a table (CSV) with --target")
        return [dict(zip(features, map(float, row), strict=True)) for row in x]
    rows: list[Any] = x.astype(float).tolist()
    return rows


def _predictions(rows: list[Any], labels: tuple[str, ...]) -> Any:
    """An array of scores or labels, of rows that are numbers, lists or objects."""
    if not rows or not isinstance(rows[0], dict):
        return np.array(rows)
    first = rows[0]
    if "probabilities" in first:
        names = labels if set(labels) == set(first["probabilities"]) else tuple(first["probabilities"])
        return np.array([[row["probabilities"][name] for name in names] for row in rows])
    for name in ("label", "value", "prediction"):
        if name in first:
            return np.array([row[name] for row in rows])
    return np.array([list(row.values()) for row in rows])


_WIRES: dict[str, Callable[[httpx.Client, httpx.URL, Opening], Wire]] = {
    "redoubt": _redoubt,
    "oip": _oip,
    "mlflow": _mlflow,
    "tensorflow-serving": _serving,
}
