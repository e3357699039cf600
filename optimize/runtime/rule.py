"""The order in which a runtime's int8 recipes are taken for a CPU."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from optimize.int8_cpu import Int8Cpu
from optimize.runtime.session import Recipe

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def ordered(recipes: Sequence[AnyRecipe], first: Mapping[str, Sequence[str]], cpu: Int8Cpu) -> tuple[AnyRecipe, ...]:
    """`recipes` with those in front that `first` names for this kind of CPU; the others keep their order."""
    names = first[cpu.kind]
    return tuple(sorted(recipes, key=lambda recipe: (*names, recipe.name).index(recipe.name)))
