"""What a stage depends on is stated by its fields, and nothing else."""

from dataclasses import dataclass, field

from optimize.identity import OUTSIDE, identity
from optimize.pruner.l2 import L2
from optimize.pruner.settings import Pruning
from optimize.runtime.openvino import OpenVino


@dataclass(frozen=True)
class Own:
    level: int
    inner: tuple[L2, ...] = (L2(),)
    place: str = field(default="here", metadata=OUTSIDE)
    hidden: str = field(default="x", repr=False)


def test_it_is_the_class_and_its_fields_whatever_is_printed_of_them():
    assert identity(L2()) == "L2()"
    assert identity(OpenVino().export) == "OpenVino().export" != identity(OpenVino().build)
    assert identity(Pruning(0.3, L2())).startswith("Pruning(share=0.3, criterion=L2(), target='flops'")
    assert identity(Own(1)) == f"{__name__}.Own(level=1, inner=(L2()), hidden='x')"


def test_a_field_outside_of_it_changes_nothing_and_every_other_one_does():
    assert identity(Own(1, place="there")) == identity(Own(1))
    others = (Own(2), Own(1, inner=()), Own(1, hidden="y"))
    assert len({identity(one) for one in (Own(1), *others)}) == 4
