from ._evaluate import evaluate as evaluate
from .report import FormatError as FormatError, Report as Report
