// Documents of Parquet files: each row is what the same JSON object in a .jsonl would be.
#pragma once

#include <cstdint>

#include "text/document.h"

namespace moescope::store {

// For text::OpenDocuments. Rows come in file order; only the columns that a document can use are
// read (those of the template, `tokens`, `text`, `messages`, `tools`, `source`, `unit`, and the
// unit field). The opener throws Error(kNotFound), and kCorrupt for a file that is not Parquet or
// has another structure than it says; Next throws as text::RecordReader does, naming file and row.
// Each open file takes up to `memory_bytes`.
text::ParquetOpener MakeParquetOpener(uint64_t memory_bytes = uint64_t{256} << 20);

}  // namespace moescope::store
