"""Reads every table of a lake with pyiceberg. Standard input: JSON with the catalog's properties. Output: JSON, table to
rows, the files' rows as metadata tells them, and the number of different values of the first column."""
import json
import sys

from pyiceberg.catalog.sql import SqlCatalog

catalog = SqlCatalog("feedlake", **json.load(sys.stdin))
out = {}
for namespace in catalog.list_namespaces():
    for name in catalog.list_tables(namespace):
        table = catalog.load_table(name)
        rows = table.scan().to_arrow()
        planned = sum(task.file.record_count for task in table.scan().plan_files())
        first = rows.column(0).combine_chunks() if rows.num_rows else rows.column(0)
        out[".".join(name)] = [rows.num_rows, planned, len(first.unique())]
json.dump(out, sys.stdout)
