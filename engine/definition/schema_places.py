"""What a JSON Schema says of a place in a document: the mapping that stands there, its keys, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.definition.cursor import ITEM, Place

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SchemaPlaces:
    """A schema to be asked of places. What a step's `with` may hold is what its `$defs` say of the step's kind."""

    document: Node

    def node(self, place: Place) -> Node:
        """The schema of the mapping at a place; an empty one where nothing is known of it."""
        node = self.document
        for key in place.path:
            if key == ITEM:
                node = next((part["items"] for part in self.parts(node) if isinstance(part.get("items"), dict)), {})
            elif key == "with" and place.kind in self._definitions:
                node = self._definitions[place.kind]
            else:
                node = self.under(node, key)
        return self.resolved(node)

    def under(self, node: Node, key: str) -> Node:
        """What a mapping holds under a key."""
        found = self.properties(node).get(key)
        if found is None:
            more = [part["additionalProperties"] for part in self.parts(node) if "additionalProperties" in part]
            found = next((each for each in more if isinstance(each, dict)), {})
        return found if isinstance(found, dict) else {}

    def properties(self, node: Node) -> dict[str, Any]:
        """The keys that a mapping may have, each with its schema."""
        found: dict[str, Any] = {}
        for part in self.parts(node):
            found |= part.get("properties", {})
        return found

    def parts(self, node: Node) -> Iterator[Node]:
        """What it is put together of or may be one of, and itself last."""
        own = self.resolved(node)
        for part in (*own.get("allOf", ()), *own.get("anyOf", ()), *own.get("oneOf", ())):
            if isinstance(part, dict):
                yield from self.parts(part)
        yield own

    def resolved(self, node: Node) -> Node:
        """The schema itself, with what a `$ref` leads to below what stands beside it."""
        while "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            beside = {key: value for key, value in node.items() if key != "$ref"}
            node = {**self._definitions.get(name, {}), **beside}
        return node

    def described(self, node: Node) -> str:
        """The description of what stands there, "" for none."""
        return str(node.get("description") or self.resolved(node).get("description", ""))

    @property
    def _definitions(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document["$defs"]
        return found
