"""Preparation: writes data sets to files or records.

`prepare` checks its arguments (`_plan`), then runs (`_run`): examples are written (`_writer`), with a journal and a
manifest (`_manifests`). `beam.prepare` runs shards of the same plan on other machines.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
