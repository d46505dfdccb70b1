"""From a lowered graph to a plan: kernels, schedule, memory."""

from nn2wasm.plan.call import Call
from nn2wasm.plan.memory import MemoryPlan
from nn2wasm.plan.peak import Peak, find_peak
from nn2wasm.plan.plan import Plan, lay_out, make_plan
from nn2wasm.plan.segments import Segment

__all__ = ["Call", "MemoryPlan", "Peak", "Plan", "Segment", "find_peak", "lay_out", "make_plan"]
