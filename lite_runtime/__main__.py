"""``lite_runtime COMMAND`` and ``python -m lite_runtime COMMAND``. The one command is ``doctor``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lite_runtime import doctor

_USAGE = """usage: lite_runtime doctor [options]

doctor   what this machine offers, what lite_runtime makes of it, and whether it computes right
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code: 2 when it is called wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["doctor"]:
        return doctor.main(given[1:])
    asked = given[:1] in (["-h"], ["--help"])
    print(_USAGE, end="", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main())
