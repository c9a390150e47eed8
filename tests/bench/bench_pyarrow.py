#!/usr/bin/env python3
"""bench_pyarrow.py LIST: what pyarrow's own writer takes for the rows of the Parquet files that LIST
names, with the settings of connect/lake/file.c, into memory. A file is read, which is not counted, and written
in one call. Prints a JSON line."""
import json
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

IDS = {"message_id", "request_id", "provider_id"}


def settings(table: pa.Table) -> dict:
    """Keep these in step with connect/lake/file.c and its shim."""
    blooms = {c: {"ndv": min(table.num_rows, 200_000), "fpp": 0.01}
              for c in table.column_names if c in IDS}
    return {"version": "2.6", "compression": "zstd", "compression_level": 3,
            "use_dictionary": True, "write_statistics": True, "write_page_index": True,
            "data_page_size": 1 << 20, "max_rows_per_page": 20_000, "row_group_size": 1 << 20,
            "bloom_filter_options": blooms or None}


def main() -> None:
    rows, size, cpu, began = 0, 0, 0.0, time.monotonic()
    for path in Path(sys.argv[1]).read_text().split():
        table = pq.ParquetFile(path).read(use_threads=False)
        out = pa.BufferOutputStream()
        before = time.process_time()
        pq.write_table(table, out, **settings(table))
        cpu += time.process_time() - before
        rows += table.num_rows
        size += out.getvalue().size
    print(json.dumps({"rows": rows, "cpu_s": round(cpu, 3), "bytes": size,
                      "seconds": round(time.monotonic() - began, 1)}))


main()
