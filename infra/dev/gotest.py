#!/usr/bin/env python3
"""usage: gotest.py LOG ARGS... [+ ARGS...]

Runs `go test -json ARGS` for each group of arguments, one after the other, keeps the whole output as text in LOG, and
shows the closing lines of every package, what failing tests said, every skipped test with its reason, and the packages
that took longest. A group without a test fails. FEEDLAKE_NO_SKIP=1: a skipped test is a failure.
"""
import collections
import json
import os
import subprocess
import sys


def groups(args):
    """The arguments of each go test, which a plus divides."""
    found = [[]]
    for arg in args:
        if arg == "+":
            found.append([])
        else:
            found[-1].append(arg)
    return found


class Report:
    """What is shown of the events of go test."""

    def __init__(self, log):
        self.log = log
        self.said = collections.defaultdict(list)  # (package, test) -> its output
        self.failed, self.counts, self.took = set(), collections.Counter(), collections.Counter()

    def show(self, key):
        for line in self.said.pop(key, []):
            if not line.lstrip().startswith(("=== RUN", "=== PAUSE", "=== CONT", "=== NAME")):
                sys.stdout.write(line)

    def event(self, event):
        action, output = event["Action"], event.get("Output", "")
        self.log.write(output)
        pkg, test = event.get("Package"), event.get("Test")
        key = (pkg, test)
        if action == "build-output":
            sys.stdout.write(output)
        elif action == "output" and test:
            self.said[key].append(output)
        elif action == "output" and output not in ("PASS\n", "FAIL\n"):
            sys.stdout.write(output)
        elif test and action in ("pass", "fail", "skip"):
            self.counts[action] += 1
            if action == "fail":
                self.failed.add(f"{pkg} {test}")
            if action == "pass":
                self.said.pop(key, None)
            else:
                self.show(key)
        elif action in ("pass", "fail"):  # a package
            self.counts["packages ok" if action == "pass" else "packages failed"] += 1
            self.took[pkg] += event.get("Elapsed", 0)
            for k in [k for k in self.said if k[0] == pkg]:  # tests that ran when it ended, as after a panic or a timeout
                self.show(k) if action == "fail" else self.said.pop(k)
        sys.stdout.flush()

    def run(self, args):
        """One go test; its exit code."""
        tests = self.counts["pass"] + self.counts["fail"]
        with subprocess.Popen(["go", "test", "-json", *args], stdout=subprocess.PIPE, text=True, errors="replace") as go:
            for line in go.stdout:
                try:
                    event = json.loads(line)
                except ValueError:  # go itself speaks plainly now and then
                    event = {"Action": "output", "Output": line}
                self.event(event)
        if go.returncode == 0 and self.counts["pass"] + self.counts["fail"] == tests:
            print("error: no test ran: go test", *args, file=sys.stderr)
            return 1
        return go.returncode


def main(log_path, args):
    os.makedirs(os.path.dirname(log_path) or ".", exist_ok=True)
    with open(log_path, "w") as log:
        report = Report(log)
        codes = [report.run(g) for g in groups(args)]
    counts = report.counts
    print("longest:", ", ".join(f"{pkg.rpartition('feedlake/')[2]} {s:.0f} s" for pkg, s in report.took.most_common(5)))
    print(f"{counts['packages ok']} packages ok, {counts['packages failed']} failed; "
          f"{counts['pass']} tests passed, {counts['fail']} failed, {counts['skip']} skipped")
    for name in sorted(report.failed):
        print("failed:", name)
    if not any(codes) and counts["skip"] and os.environ.get("FEEDLAKE_NO_SKIP"):
        print("error: a skipped test counts as a failure here", file=sys.stderr)
        return 1
    return max(codes, key=abs)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
