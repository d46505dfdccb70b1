"""From a lowered graph to a plan: kernels, schedule, memory."""

from nn2wasm.plan.memory import MemoryPlan
from nn2wasm.plan.plan import Call, Plan, Segment, make_plan

__all__ = ["Call", "MemoryPlan", "Plan", "Segment", "make_plan"]
