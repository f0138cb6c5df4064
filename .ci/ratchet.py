"""Compares a run of the parity lab with the cases that have passed before.

    ratchet.py PASSED-FILE LAB.json LAB-OUTPUT [--update]

The file has one case name a line, sorted. A name in it that fails now, or was not run, is an error. New passes are
printed, and with --update added to the file.
"""

import json
import re
import sys


def main(args):
    update = "--update" in args
    known_file, results_file, output_file = [a for a in args if not a.startswith("--")]
    with open(known_file, encoding="utf-8") as f:
        known = {line.strip() for line in f if line.strip() and not line.startswith("#")}
    with open(results_file, encoding="utf-8") as f:
        ran = set(json.load(f))
    with open(output_file, encoding="utf-8") as f:
        failed = set(re.findall(r"^FAIL (\S+)", f.read(), re.M))
    passed = ran - failed
    lost, absent, new = sorted(known & failed), sorted(known - ran), sorted(passed - known)
    if new:
        print("passed for the first time (add to %s): %s" % (known_file, " ".join(new)))
        if update:
            with open(known_file, "w", encoding="utf-8") as f:
                f.write("".join(name + "\n" for name in sorted(known | passed)))
    for name in lost:
        print("has passed before and fails now: " + name)
    for name in absent:
        print("has passed before and was not run: " + name)
    print("ratchet: %d of %d known cases hold; the lab: %d passed, %d failed" % (
        len(known) - len(lost) - len(absent), len(known), len(passed), len(failed)))
    return 1 if lost or absent else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
