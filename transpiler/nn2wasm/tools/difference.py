"""How far two computations of one tensor lie apart, over any number of samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nn2wasm.ir import Array

STEPS = "steps"
RELATIVE = "of range"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What counts as equal.

    Attributes:
        steps: largest difference of integers, in steps of their quantizer.
        relative: largest difference of floats, as a share of the tensor's largest magnitude.
    """

    steps: float = 1.0
    relative: float = 1e-4

    def limit(self, unit: str) -> float:
        return self.steps if unit == STEPS else self.relative


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The result.

    Attributes:
        unit: "steps" for integers and floats that stand for them, "of range" for other floats.
        maximum: largest difference in that unit; infinite where only one value is finite.
        mean: mean difference in that unit.
        differing: elements that are not equal.
        elements: elements compared.
        top1: samples whose largest element is at the same place; None where that means nothing.
        samples: samples compared.
        limit: largest difference that passes.
        passed: whether it does.
    """

    unit: str
    maximum: float
    mean: float
    differing: int
    elements: int
    top1: int | None
    samples: int
    limit: float
    passed: bool


@dataclass(slots=True, kw_only=True)
class Meter:
    """Takes pairs of arrays and adds up their differences.

    Attributes:
        unit: `STEPS` or `RELATIVE`.
        step: what one step is worth; 1 for integers.
    """

    unit: str
    step: float = 1.0
    _largest: float = 0.0
    _total: float = 0.0
    _range: float = 0.0
    _differing: int = 0
    _elements: int = 0
    _samples: int = 0
    _top1: int = 0
    _ranked: bool = field(default=True)

    def add(self, ours: Array, theirs: Array) -> None:
        """One sample; both arrays have one shape."""
        a, b = ours.astype(np.float64), theirs.astype(np.float64)
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore"):
            apart = np.where(equal, 0.0, np.abs(a - b))
        apart = np.where(np.isnan(apart), np.inf, apart)
        finite = np.abs(b[np.isfinite(b)])
        self._range = max(self._range, float(finite.max(initial=0.0)))
        self._largest = max(self._largest, float(apart.max(initial=0.0)))
        self._total += float(apart.sum())
        self._differing += int(apart.size - np.count_nonzero(equal))
        self._elements += int(apart.size)
        self._samples += 1
        self._ranked = self._ranked and is_vector(ours.shape)
        if self._ranked:
            self._top1 += bool(b.reshape(-1)[int(a.argmax())] == b.max())

    def result(self, tolerance: Tolerance) -> Difference:
        """The sum of what was added."""
        unit = self.step if self.unit == STEPS else self._range or 1.0
        maximum = round(self._largest / unit, 2) if self.unit == STEPS else self._largest / unit
        limit = tolerance.limit(self.unit)
        return Difference(
            unit=self.unit,
            maximum=maximum,
            mean=self._total / unit / max(1, self._elements),
            differing=self._differing,
            elements=self._elements,
            top1=self._top1 if self._ranked and self._samples else None,
            samples=self._samples,
            limit=limit,
            passed=maximum <= limit,
        )


def is_vector(shape: tuple[int, ...]) -> bool:
    """Scores of one sample: one axis of more than one element, the last."""
    return bool(shape) and shape[-1] > 1 and all(size == 1 for size in shape[:-1])
