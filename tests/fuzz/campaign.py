"""Mutants of known models, planned and rendered as C: whatever they are, they end in C or in one
clear error, soon.

    python tests/fuzz/campaign.py --minutes 30 --seed 7      prints findings and how to repeat them
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import onnx

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.errors import InternalError, Nn2wasmError
from nn2wasm.target import find_target

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "conformance")]

SECONDS = 20
"""How long a mutant may take."""
MEMORY = 6 * 2**30
LARGEST = 200_000
"""Bytes of a model that is mutated."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A mutant that ended in neither way.

    Attributes:
        seed: of the mutant, "5:123".
        model: that it was made from.
        what: the error's class, place and text; equal for mutants that hit the same.
        data: the mutant.
    """

    seed: str
    model: str
    what: str
    data: bytes


def corpus() -> dict[str, bytes]:
    """Small models of all kinds by name."""
    from onnx_cases import all_cases

    found = {}
    for name, case in all_cases().items():
        if name.startswith(("node/", "simple/")):
            found[name] = case.model.SerializeToString()
    for path in sorted((ROOT / "examples").glob("*/*.onnx")):
        found[path.stem] = path.read_bytes()
    return {name: data for name, data in found.items() if len(data) <= LARGEST}


def mutant(models: dict[str, bytes], seed: str) -> tuple[str, bytes]:
    """The model that a seed stands for, and the name of the one it was made from."""
    from mutation import damaged, mutated

    rng = random.Random(seed)
    name = rng.choice(sorted(models))
    if rng.random() < 0.15:
        return name, damaged(rng, models[name])
    try:
        return name, mutated(rng, onnx.load_from_string(models[name])).SerializeToString()
    except (ValueError, TypeError):  # what the protobuf classes themselves refuse
        return name, damaged(rng, models[name])


def judged(data: bytes) -> str:
    """What is wrong with how it ended, empty where nothing is."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        generate(plan_model(data, find_target("wasm"), Options(name="mutant")))
    except InternalError as error:
        return f"InternalError: {error.message[:120]}"
    except Nn2wasmError:
        return ""
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "nn2wasm" in frame.filename] or frames
        at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return f"{type(error).__name__} at {at}: {str(error)[:100]}"
    finally:
        signal.alarm(0)
    return ""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def campaign(
    seed: int, worker: int, seconds: float, most: int = 10**9
) -> tuple[int, list[Finding]]:
    """How many mutants a worker tried, and what it found, each place once."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    models, found = corpus(), dict[str, Finding]()
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end and count < most:
        one = f"{seed}:{worker}:{count}"
        name, data = mutant(models, one)
        what = judged(data)
        if what:
            found.setdefault(what.partition(": ")[0], Finding(one, name, what, data))
        count += 1
    return count, [*found.values()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="a folder for the models that were found")
    arguments = parser.parse_args()
    workers = os.cpu_count() or 1
    with multiprocessing.Pool(workers) as pool:
        jobs = [(arguments.seed, worker, arguments.minutes * 60) for worker in range(workers)]
        results = pool.starmap(campaign, jobs)
    findings = {f.what.partition(": ")[0]: f for _, found in results for f in found}
    count = sum(count for count, _ in results)
    sys.stdout.write(f"{count:,} models, {len(findings)} findings\n")
    for finding in findings.values():
        sys.stdout.write(f"{finding.seed}  {finding.model}  {finding.what}\n")
        if arguments.save is not None:
            arguments.save.mkdir(parents=True, exist_ok=True)
            path = arguments.save / f"{finding.seed.replace(':', '_')}.onnx"
            path.write_bytes(finding.data)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
