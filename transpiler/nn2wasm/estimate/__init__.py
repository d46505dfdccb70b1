"""What a plan will cost on a core, before any compiler runs, and budgets for it."""

from nn2wasm.estimate.budget import Budget, check_artifact, check_plan
from nn2wasm.estimate.costs import Estimate, estimate

__all__ = ["Budget", "Estimate", "check_artifact", "check_plan", "estimate"]
