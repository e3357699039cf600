"""The order in which a runtime's int8 recipes are taken for a CPU."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from optimize.int8_cpu import Int8Cpu
from optimize.runtime.session import Recipe

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def ordered(recipes: Sequence[AnyRecipe], defaults: Mapping[str, str], cpu: Int8Cpu) -> tuple[AnyRecipe, ...]:
    """`recipes` with the one first that `defaults` names for this kind of CPU; the others keep their order."""
    return tuple(sorted(recipes, key=lambda recipe: recipe.name != defaults[cpu.kind]))
