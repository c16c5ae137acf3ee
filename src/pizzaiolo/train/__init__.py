"""Step 3, training: from a DATASET to a RUN whose model file is the best epoch."""

from ..step import make_callable

make_callable(__name__)
