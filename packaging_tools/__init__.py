"""Puts the runtime and models onto devices: release wheels, Debian packages, image stages.

The commands are ``lite_package`` (``lite_package.py``) and ``python -m packaging_tools.wheels``.
"""
