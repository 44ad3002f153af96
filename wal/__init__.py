"""The write-ahead log: records, segments, writer, reader, recovery, verify and repair."""
