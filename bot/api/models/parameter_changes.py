"""Changed parameters, as data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from bot.api.models.base import Json, moment
from engine.orchestration.parameter_changes import Changed


class Change(BaseModel):
    """One parameter's change: `old` is left out where there was no value, `new` where there is none any more."""

    name: str
    old: Json = None
    new: Json = None

    @model_serializer(mode="wrap")
    def _as_given(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in plain(self).items() if name in self.model_fields_set}


class ParametersChanged(BaseModel):
    """Parameters that a person changed by a retry or a replay; long values are cut."""

    by: str
    at: datetime
    changes: list[Change]

    @staticmethod
    def of(found: Changed) -> ParametersChanged:
        return ParametersChanged(by=found.by, at=moment(found.at), changes=[Change(**each) for each in found.changes])
