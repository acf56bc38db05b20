"""Where examples come from: files, folders, arrays and data sets, their classes, splits and near-duplicates."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
