"""From a network to each engine's file. A module for each format, with ``convert(variant, folder)``.

They run in the Python that has the engine's converter (``convert.py`` is their command line) and write below
``folder`` the files that ``peers.py`` lists. A variant is a network's name, with ``_int8`` behind it for int8.
"""
