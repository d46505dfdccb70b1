"""From a lowered graph to a plan: kernels, schedule, memory."""

from nn2wasm.plan.memory import MemoryPlan
from nn2wasm.plan.peak import Peak, find_peak
from nn2wasm.plan.plan import Call, Plan, Segment, make_plan

__all__ = ["Call", "MemoryPlan", "Peak", "Plan", "Segment", "find_peak", "make_plan"]
