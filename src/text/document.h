// Documents: what a data set is made of, and the sources that deliver them in a fixed order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace moescope::text {

struct Document {
  std::string dataset;  // the NAME of --data NAME=PATH
  std::string source;   // where it came from: file name inside the data set, and line
  std::string unit;     // what statistics resample; see UnitPolicy
  std::string text;     // after CR LF became LF, unless raw
  std::vector<int32_t> tokens;  // ids as they are, instead of text, when has_tokens
  bool has_tokens = false;
};

// Delivers documents one by one in an order that depends only on the files. Not thread-safe.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // False at the end. Throws Error(kCorrupt, kIo, kBadInput) naming file and line or entry.
  virtual bool Next(Document& document) = 0;
  // Compressed bytes read so far and in all, for progress.
  virtual uint64_t bytes_read() const = 0;
  virtual uint64_t bytes_total() const = 0;
};

// What the user said about one data set.
struct DataSpec {
  std::string name;
  std::string path;                // .txt .jsonl .parquet, each also .gz .xz .zst; or a directory
  std::string unit_field;          // --unit-by NAME=FIELD: a JSON field; "-": one unit; "": default
  std::string text_template;       // --template with {field}s; empty: the `text` field
  bool raw = false;                // keep CR LF
};

// `documents` of Parquet files are read by a function the caller supplies, since only the store
// knows DuckDB: given a path, it opens the same interface over its rows as JSON objects.
using ParquetOpener =
    std::function<std::unique_ptr<DocumentSource>(const DataSpec& spec, const std::string& path)>;

// Parses "NAME=PATH" (or a bare PATH: the name is its stem). Throws Error(kBadInput).
DataSpec ParseDataSpec(const std::string& argument);
// Throws Error(kNotFound, kBadInput) at once for paths and names that cannot work.
std::unique_ptr<DocumentSource> OpenDocuments(const std::vector<DataSpec>& specs,
                                              ParquetOpener open_parquet = nullptr);

}  // namespace moescope::text
