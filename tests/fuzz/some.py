"""Some cases of everything, in one process: what test_fuzz.py runs.

    python tests/fuzz/some.py CASES

The last line is JSON: the faults by what was tried.
"""

from __future__ import annotations

import json
import sys

import conditions
import fuzz
import injection
import materials

# Those that take the least time, and between them publish all that there is.
JOBS = ("infer-shp", "polygonize-gpkg", "train")
CONDITIONS = ("two_at_once", "modes")

if __name__ == "__main__":
    cases = int(sys.argv[1])
    with materials.workplace() as folder:
        answers = (
            fuzz.fuzz(list(fuzz.KINDS), 0, cases, 0, folder, False),
            injection.inject(JOBS, min(1, 0.002 * cases), 0, folder, False),
            conditions.run(CONDITIONS, JOBS[:2], 1, 0, folder, False),
        )
    print(
        json.dumps({name: found for answer in answers for name, found in answer["faults"].items()})
    )
