"""Links with zig, with what its compiler driver has no flags for: ``zig_link.py ZIG ARGUMENTS...``.

The linker in zig is LLD. The driver links once and shows how (ZIG_VERBOSE_LINK); LLD then does the same again, but

* equal functions become one (``--icf``): nothing here compares the addresses of functions;
* for glibc, the unwinder is the system's ``libgcc_s.so.1``, which glibc itself and NumPy need, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# What zig's C++ library calls of the unwinder. 32-bit ARM has its own interface.
_UNWINDER = """
_Unwind_RaiseException _Unwind_Resume _Unwind_DeleteException _Unwind_GetLanguageSpecificData _Unwind_GetRegionStart
_Unwind_GetIP _Unwind_SetIP _Unwind_SetGR
_Unwind_VRS_Get _Unwind_VRS_Set __gnu_unwind_frame
"""


def main(command: list[str]) -> int:
    done = subprocess.run(command, env={**os.environ, "ZIG_VERBOSE_LINK": "1"}, stderr=subprocess.PIPE, text=True)
    output = command[command.index("-o") + 1]
    links = [line.split() for line in done.stderr.splitlines() if line.startswith("ld.lld ")]
    links = [link for link in links if output in link]
    if done.returncode or len(links) != 1:
        print(done.stderr, file=sys.stderr)
        return done.returncode or 1
    (link,) = links
    target = command[command.index("-target") + 1]
    with tempfile.TemporaryDirectory(prefix="zig-link-") as folder:
        if "-gnu" in target:
            unwinder = _system_unwinder(command[0], target, Path(folder))
            link = [unwinder if Path(word).name == "libunwind.a" else word for word in link]
        return subprocess.run([command[0], *link, "--icf=all"]).returncode


def _system_unwinder(zig: str, target: str, folder: Path) -> str:
    """A library to link with in place of the system's, of its names only."""
    source, library = folder / "unwinder.c", folder / "libgcc_s.so.1"
    source.write_text("".join(f"void {name}(void) {{}}\n" for name in _UNWINDER.split()))
    options = ["-target", target, "-shared", "-nostdlib", f"-Wl,-soname,{library.name}"]
    subprocess.run([zig, "cc", *options, str(source), "-o", str(library)], check=True)
    return str(library)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
