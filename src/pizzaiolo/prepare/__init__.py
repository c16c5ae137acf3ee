"""Step 1, data preparation: from any source of pictures to a clean, leak-free DATASET."""

from ..step import make_callable

make_callable(__name__)
