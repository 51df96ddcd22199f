"""MLflow's forms of a request."""

from typing import Annotated, Any

from bentoml.exceptions import InvalidArgument
from pydantic import Field, ValidationError

from serving.oip_schema import Strict, load, sentence
from serving.schema import NO_SIZES, Certify, Sizes

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Params(Strict):
    """Of a request.

    Attributes:
        certify: which certificates the answers carry, as in /predict.
        eps: further eps at which they are certified, likewise.
    """

    certify: Certify = "budget"
    eps: Sizes = Field(default=[])


class Split(Strict):
    """A table as pandas writes it by `to_json(orient="split")`.

    Attributes:
        columns: their names.
        data: the rows.
        index: the rows' names, one each; of no other effect.
    """

    columns: Annotated[list[str], Field(min_length=1)]
    data: list[list[Any]]
    index: list[Any] | None = None

    def records(self) -> list[dict[str, Any]]:
        """Each row by column.

        Raises:
            InvalidArgument: a column twice, an index or a row of another length.
        """
        if len(set(self.columns)) < len(self.columns):
            raise InvalidArgument("dataframe_split: a column is named twice; expected each once")
        if self.index is not None and len(self.index) != len(self.data):
            raise InvalidArgument(
                f"dataframe_split: the index names {len(self.index)} rows; expected {len(self.data)}, as data holds"
            )
        for index, row in enumerate(self.data):
            if len(row) != len(self.columns):
                raise InvalidArgument(f"input {index} has {len(row)} values; expected {len(self.columns)}")
        return [dict(zip(self.columns, row, strict=True)) for row in self.data]


class InvocationRequest(Strict):
    """Inputs for one task, as MLflow's clients send them, in exactly one of four forms.

    Attributes:
        dataframe_split: a table, its columns apart from its rows.
        dataframe_records: a table, an object per row.
        instances: a list of inputs: objects, or images as nested lists in [0, 1].
        inputs: likewise, or of a table a list of values per column.
        params: of the request.
    """

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: list[Any] | None = None
    inputs: list[Any] | dict[str, list[Any]] | None = None
    params: Params = Params()

    @classmethod
    def parse(cls, body: bytes) -> "InvocationRequest":
        """Parse JSON.

        Raises:
            InvalidArgument: not JSON, or of another form.
        """
        try:
            request = cls.model_validate(load(body, f"exactly one of {', '.join(FORMS)}"))
        except ValidationError as error:
            raise InvalidArgument(sentence(error)) from None
        forms = [form for form in FORMS if getattr(request, form) is not None]
        if request.params.eps and request.params.certify != "budget":
            raise InvalidArgument(f"params.{NO_SIZES}")
        if len(forms) != 1:
            raise InvalidArgument(f"{' and '.join(forms) or 'none'} came; expected exactly one of {', '.join(FORMS)}")
        return request

    def rows(self) -> list[Any]:
        """The inputs one by one; raises as `Split.records` does."""
        if self.dataframe_split is not None:
            return self.dataframe_split.records()
        if isinstance(self.inputs, dict):
            return _rows(self.inputs)
        return next(each for each in (self.dataframe_records, self.instances, self.inputs) if each is not None)


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise InvalidArgument(f"inputs: columns of {len(lengths)} different lengths; expected one length")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
