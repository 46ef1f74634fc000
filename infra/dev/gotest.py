#!/usr/bin/env python3
"""usage: gotest.py LOG ARGS...

Runs `go test -json ARGS`, keeps its whole output as text in LOG, and shows the closing lines of every package, what
failing tests said, and every skipped test with its reason. FEEDLAKE_NO_SKIP=1: a skipped test is a failure.
"""
import collections
import json
import os
import subprocess
import sys


def main(log_path, args):
    said = collections.defaultdict(list)  # (package, test) -> its output
    failed_tests, counts = set(), collections.Counter()

    def show(key):
        for line in said.pop(key, []):
            if not line.lstrip().startswith(("=== RUN", "=== PAUSE", "=== CONT", "=== NAME")):
                sys.stdout.write(line)

    os.makedirs(os.path.dirname(log_path) or ".", exist_ok=True)
    with open(log_path, "w") as log, subprocess.Popen(["go", "test", "-json", *args], stdout=subprocess.PIPE, text=True, errors="replace") as go:
        for line in go.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # go itself speaks plainly now and then
                event = {"Action": "output", "Output": line}
            action, output = event["Action"], event.get("Output", "")
            log.write(output)
            pkg, test = event.get("Package"), event.get("Test")
            key = (pkg, test)
            if action == "build-output":
                sys.stdout.write(output)
            elif action == "output" and test:
                said[key].append(output)
            elif action == "output" and output not in ("PASS\n", "FAIL\n"):
                sys.stdout.write(output)
            elif test and action in ("pass", "fail", "skip"):
                counts[action] += 1
                if action == "fail":
                    failed_tests.add(f"{pkg} {test}")
                if action == "pass":
                    said.pop(key, None)
                else:
                    show(key)
            elif action == "fail":  # a package: tests that were running when it ended, as after a panic or a timeout
                counts["packages failed"] += 1
                for k in [k for k in said if k[0] == pkg]:
                    show(k)
            elif action == "pass":
                counts["packages ok"] += 1
            sys.stdout.flush()
    print(f"{counts['packages ok']} packages ok, {counts['packages failed']} failed; "
          f"{counts['pass']} tests passed, {counts['fail']} failed, {counts['skip']} skipped")
    for name in sorted(failed_tests):
        print("failed:", name)
    if go.returncode == 0 and counts["skip"] and os.environ.get("FEEDLAKE_NO_SKIP"):
        print("error: a skipped test counts as a failure here", file=sys.stderr)
        return 1
    return go.returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
