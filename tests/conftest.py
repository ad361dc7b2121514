"""No test writes into the cache of the user who runs it."""

import os

os.environ.setdefault("PYRAMID_FRAME_CACHE", "none")
