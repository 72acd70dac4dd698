"""Links with zig, and lets equal functions be one: ``zig_link.py ZIG ARGUMENTS...``.

The linker in zig is LLD, whose ``--icf`` its compiler driver has no flag for. So the driver links once and shows how
(ZIG_VERBOSE_LINK), and LLD does the same again with the flag. Nothing here compares the addresses of functions.
"""

from __future__ import annotations

import os
import subprocess
import sys


def main(command: list[str]) -> int:
    done = subprocess.run(command, env={**os.environ, "ZIG_VERBOSE_LINK": "1"}, stderr=subprocess.PIPE, text=True)
    output = command[command.index("-o") + 1]
    links = [line.split() for line in done.stderr.splitlines() if line.startswith("ld.lld ")]
    links = [link for link in links if output in link]
    if done.returncode or len(links) != 1:
        print(done.stderr, file=sys.stderr)
        return done.returncode or 1
    return subprocess.run([command[0], *links[0], "--icf=all"]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
