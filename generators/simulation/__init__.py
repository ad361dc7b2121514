"""Multiplying demonstrations in simulation, after MimicGen and DexMimicGen."""

import logging

# robosuite logs hints about its own set-up at import and a line for every robot it makes. They say nothing to a user
# of ours; its errors are let through.
logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)
