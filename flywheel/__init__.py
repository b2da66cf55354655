"""The weekly loop: production traces in, failure modes, labels, a golden dataset and a verdict out."""

__version__ = "0.1.0"
