"""What is particular to HIGGS: its columns, units and schema, where its rows come from, and a simulation of them."""

import os

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema.pbtxt")  # curated, not inferred
