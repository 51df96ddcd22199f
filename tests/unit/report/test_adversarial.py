import base64
import io

import numpy as np
from PIL import Image

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.report.adversarial import Attacked, images, records

LABELS = ("left", "right")
IMAGES = Schema(task="bars", kind="image", target="side", labels=LABELS, shape=(2, 2, 1))


def pixels(uri: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))) as image:
        return np.asarray(image)


def test_a_picture_shows_what_was_predicted_before_and_after_and_how_sure() -> None:
    x = np.array([[[[0.0], [1.0]], [[0.5], [0.5]]]], dtype=np.float32)
    x_adv = x + np.array([[[[0.2], [-0.2]], [[0.1], [0.0]]]], dtype=np.float32)
    sure, unsure = np.array([[3.0, 0.0]], dtype=np.float32), np.array([[0.0, 0.1]], dtype=np.float32)
    found = images(x, [0], {"natural": Attacked(sure, x_adv, unsure)}, IMAGES)
    assert found["span"] == "0.2"
    (shown,) = found["models"]["natural"]
    assert shown["label"] == "left"
    assert shown["before"] == ("left", "95 %", True)
    assert shown["after"] == ("right", "52 %", False)
    assert pixels(shown["original"]).tolist() == [[0, 255], [128, 128]]
    more, less, half, none = pixels(shown["change"]).reshape(-1, 3)
    assert (more.tolist(), less.tolist(), none.tolist()) == ([185, 28, 28], [29, 78, 216], [255, 255, 255])
    assert half.tolist() == [220, 141, 141]


def test_large_pictures_are_fewer() -> None:
    schema = IMAGES.model_copy(update={"shape": (200, 200, 3)})
    x = np.zeros((8, 200, 200, 3), dtype=np.float32)
    outputs = np.zeros((8, 2), dtype=np.float32)
    assert len(images(x, [0] * 8, {"natural": Attacked(outputs, x, outputs)}, schema)["models"]["natural"]) == 1


def test_a_row_of_a_table_names_what_was_changed_the_largest_first() -> None:
    schema = Schema(
        task="homes",
        kind="regression",
        target="price",
        shape=(3,),
        columns=tuple(Column(name=name, kind="number") for name in ("area", "age", "rooms")),
    )
    x = np.array([[100.0, 10.0, 3.0]], dtype=np.float32)
    x_adv = np.array([[101.0, 12.0, 3.0]], dtype=np.float32)
    outputs = (np.array([[50.4]], dtype=np.float32), np.array([[80.0]], dtype=np.float32))
    (row,) = records(x, [52.0], {"natural": Attacked(outputs[0], x_adv, outputs[1])}, schema, tolerance=10.0)
    assert row["changes"] == ["age 10 → 12", "area 100 → 101"]
    assert (row["label"], row["before"], row["after"]) == ("52", ("50", "", True), ("80", "", False))
