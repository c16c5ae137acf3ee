"""What OpenAPI shows is what is answered."""

from dataclasses import fields

from pizzaiolo.predict import Answer
from pizzaiolo.serve.schemas import AnswerModel


def test_the_schema_has_the_fields_of_an_answer_in_order() -> None:
    assert list(AnswerModel.model_fields) == [field.name for field in fields(Answer)]


def test_the_example_of_the_schema_is_an_answer() -> None:
    example = AnswerModel.model_config["json_schema_extra"]["example"]  # type: ignore[index, call-overload]
    assert Answer(**example).to_json() == example
    assert AnswerModel(**example).verdict == "Pizza"
