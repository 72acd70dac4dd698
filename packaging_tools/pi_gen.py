"""A stage for pi-gen, which makes Raspberry Pi OS images: it installs the Debian packages into the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# pi-gen installs these before it runs 00-run.sh.
_PACKAGES = "python3 python3-numpy python3-pil\n"
_PRERUN = """#!/bin/bash -e
# Begins with the image of the stage before.
if [ ! -d "${ROOTFS_DIR}" ]; then
  copy_previous
fi
"""
_RUN = """#!/bin/bash -e
# pi-gen starts this in its own folder; on_chroot runs its input inside the image.
install -d "${ROOTFS_DIR}/opt/lite-runtime-packages"
install -m 644 files/*.deb "${ROOTFS_DIR}/opt/lite-runtime-packages/"
on_chroot << EOF
dpkg --install /opt/lite-runtime-packages/*_\\$(dpkg --print-architecture).deb
EOF
rm -r "${ROOTFS_DIR}/opt/lite-runtime-packages"
"""
_EXPORT = 'IMG_SUFFIX="-lite-runtime"\n'


def write(folder: Path, debs: Mapping[str, bytes]) -> None:
    """Makes the folder. Name it in STAGE_LIST after stage2 or a later stage."""
    step = folder / "00-install"
    (step / "files").mkdir(parents=True)
    for name, data in debs.items():
        (step / "files" / name).write_bytes(data)
    (step / "00-packages").write_text(_PACKAGES, encoding="utf-8")
    (folder / "EXPORT_IMAGE").write_text(_EXPORT, encoding="utf-8")
    for script, text in ((folder / "prerun.sh", _PRERUN), (step / "00-run.sh", _RUN)):
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
