"""Reports on many runs: the results of a study, its tables and examples, and documents in HTML and Markdown."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
