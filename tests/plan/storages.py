"""A judge of memory plans that shares no code with the planner: it looks at every byte at every
step.
"""

from __future__ import annotations

from collections.abc import Sequence

from nn2wasm.plan.memory import Storage


def total_bytes(storages: Sequence[Storage]) -> int:
    return max((storage.offset + storage.bytes for storage in storages), default=0)


def conflict(storages: Sequence[Storage]) -> str:
    """The first byte that two storages own at one step without leave; empty where there is none.

    Leave: the step that writes one may consume the other there, if the one begins early enough.
    """
    for storage in storages:
        if storage.offset < 0 or storage.offset % storage.alignment:
            return f"{storage} lies at {storage.offset}"
    steps = range(min(s.begin for s in storages), max(s.end for s in storages) + 1)
    for step in steps:
        owners: dict[int, Storage] = {}
        for storage in storages:
            if not storage.begin <= step <= storage.end:
                continue
            for byte in range(storage.offset, storage.offset + storage.bytes):
                other = owners.setdefault(byte, storage)
                if other is not storage and not _consumed(storage, other, step):
                    return f"byte {byte} at step {step}: {storage} and {other}"
    return ""


def _consumed(one: Storage, other: Storage, step: int) -> bool:
    for output, source in ((one, other), (other, one)):
        if not output.begin == step == source.end:
            continue
        lead, trail = output.leads.get(source), output.trails.get(source)
        if lead is not None and output.offset + lead <= source.offset:
            return True
        if trail is not None and source.offset + trail <= output.offset:
            return True
    return False
