#!/usr/bin/env python3
"""Measure the whole path on simulated posts: this program beside another build of it.

    infra/dev/cores.py [--posts N] [--days N] [--parallel N] NEW [OLD]

Each program runs once over an empty lake. Printed for each: wall time, CPU time, peak memory, and the demand: how many
threads on average ran or waited for a core. On a machine that others use, too, wall time says little; the demand says how
many cores the program would have used. With OLD, ratios follow.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile
import threading
import time

CONFIG = """lake: {{dir: lake}}
sources:
  - name: sim
    kind: simulate
    with: {{seed: 1, posts: {posts}, start: 2020-01-01T00:00:00Z, days: {days}}}
publish:
  - {{name: export, kind: export, dir: publish}}
"""


def watch(pid, seen, stop):
    """Keep what each thread ran and waited for a core, in seconds."""
    while not stop.wait(0.25):
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            try:
                with open(path) as f:
                    ran, waited, _ = f.read().split()
                seen[path] = (int(ran) + int(waited)) / 1e9
            except (OSError, ValueError):
                pass  # the thread has ended


def measure(program, o):
    with tempfile.TemporaryDirectory(prefix="feedlake-cores-") as folder:
        with open(os.path.join(folder, "feedlake.yaml"), "w") as f:
            f.write(CONFIG.format(posts=o.posts, days=o.days))
        args = [os.path.abspath(program), "run", "-q", "--log-level", "error"]
        if o.parallel and program == o.new:
            args += ["--parallel", str(o.parallel)]
        start, seen, stop = time.time(), {}, threading.Event()
        run = subprocess.Popen(args, cwd=folder, stdout=subprocess.DEVNULL)
        watcher = threading.Thread(target=watch, args=(run.pid, seen, stop))
        watcher.start()
        _, status, usage = os.wait4(run.pid, 0)
        stop.set()
        watcher.join()
        wall = time.time() - start
        if code := os.waitstatus_to_exitcode(status):
            sys.exit(f"{program}: exit code {code}")
        out = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024, "demand": sum(seen.values()) / wall}
        print(f"{program}: wall {out['wall']:.1f} s, CPU {out['cpu']:.1f} s, demand {out['demand']:.2f} cores, peak {out['peak']:.0f} MB", flush=True)
        return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--posts", type=int, default=2_460_000)
    p.add_argument("--days", type=int, default=1700)
    p.add_argument("--parallel", type=int, default=0, help="of NEW; 0: its default")
    p.add_argument("new")
    p.add_argument("old", nargs="?")
    o = p.parse_args()
    new = measure(o.new, o)
    if o.old:
        old = measure(o.old, o)
        print("new / old: " + ", ".join(f"{k} {new[k] / old[k]:.2f}" for k in ("wall", "cpu", "peak")))


main()
