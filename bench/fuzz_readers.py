"""Whether any file stops a trace reader: damaged files of every format, each given to every reader.

What has to hold is in `tests/flywheel/sources/fuzz_checks.py`. Prints a row for each reader, every kind of failure with
the file that shows it (kept with `--keep`), and ends with one line of JSON; it exits 1 where anything failed.

Example: python bench/fuzz_readers.py --seconds 120 --seed 1
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.flywheel.sources.fuzz_checks import Tally, check_file, readers
from tests.flywheel.sources.fuzz_mutations import mutated
from tests.flywheel.sources.fuzz_seeds import all_seeds


def fuzz(seconds: float, seed: int, folder: Path, keep: Path | None) -> tuple[dict[str, Tally], int]:
    """Damage files and check them until the time is over."""
    rng = random.Random(seed)
    seeds = all_seeds()
    tallies = {name: Tally() for name in ("recognise", *readers())}
    ends = time.monotonic() + seconds
    files = 0
    while time.monotonic() < ends:
        files += 1
        origin = rng.choice(seeds)
        path = folder / origin.name
        path.write_bytes(mutated(origin, rng, rng.choice(seeds)))
        for failure in check_file(path, tallies):
            print(f"\n{origin.name}, file {files}: {failure}", flush=True)
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{files}-{origin.name}").write_bytes(path.read_bytes())
    return tallies, files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tallies, files = fuzz(given.seconds, given.seed, Path(folder), given.keep)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"\n{'reader':20}{'inputs':>9}{'found':>9}{'rejected':>10}{'blank':>9}{'refused':>9}{'slowest s':>11}"
          f"{'failures':>10}")  # fmt: skip
    for name, tally in tallies.items():
        print(f"{name:20}{tally.inputs:>9,}{tally.found:>9,}{tally.rejected:>10,}{tally.blank:>9,}{tally.refused:>9,}"
              f"{tally.slowest:>11.2f}{len(tally.failures):>10}")  # fmt: skip
    failures = {name: sorted(tally.failures) for name, tally in tallies.items() if tally.failures}
    figures = {
        "files": files,
        "seed": given.seed,
        "seconds": given.seconds,
        "slowest_seconds": round(max(tally.slowest for tally in tallies.values()), 2),
        "grown_mb": grown,
        "failures": sum(map(len, failures.values())),
        "failed": failures,
    }
    print(json.dumps(figures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
