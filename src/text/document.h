// Documents: what a data set is made of, and the sources that deliver them in a fixed order.
// Formats, fields and policies: docs/documents.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace moescope::text {

class ChatTemplate;

struct Document {
  std::string dataset;  // the NAME of --data NAME=PATH
  std::string source;   // the `source` field, or else file name inside the data set, and line
  std::string unit;     // what statistics resample: `unit`, else `source`, else the document itself
  std::string text;     // after CR LF became LF, unless raw
  std::vector<int32_t> tokens;  // ids as they are, instead of text, when has_tokens
  bool has_tokens = false;
  // The text was written by a chat template: special tokens spelled out in it ("<|im_start|>") are
  // those tokens, and where it begins with BOS none is added.
  bool has_specials = false;
};

// Delivers documents one by one in an order that depends only on the files. Not thread-safe.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // False at the end. Throws Error(kCorrupt, kIo, kBadInput) naming file and line or entry.
  virtual bool Next(Document& document) = 0;
  // Compressed bytes read so far and in all, for progress; a total of 0 is unknown (stdin).
  virtual uint64_t bytes_read() const = 0;
  virtual uint64_t bytes_total() const = 0;
  // What deserves a line on stderr without stopping the run (broken UTF-8 carried through, files of
  // a directory passed over), one line each, of what has been read so far.
  virtual std::vector<std::string> Warnings() const { return {}; }
};

// What the user said about one data set.
struct DataSpec {
  std::string name;
  // .txt .jsonl .parquet, each also .gz .xz .zst; a directory of such; "-" (text) or "-.jsonl":
  // standard input.
  std::string path;
  std::string unit_field;     // --unit-by NAME=FIELD: a JSON field; "-": one unit; "": default
  std::string text_template;  // --template with {field}s; empty: the `text` field
  bool raw = false;           // keep CR LF and a byte order mark
  // For records with `messages`; null: they are refused.
  std::shared_ptr<const ChatTemplate> chat_template = nullptr;
  std::optional<std::string> bos_token = std::nullopt, eos_token = std::nullopt;  // as it sees them
};

// Parquet files are read by a function the caller supplies, since only the store knows DuckDB:
// given a path, it opens the same interface over its rows, each a JSON object for a RecordReader
// (text/record_reader.h).
using ParquetOpener =
    std::function<std::unique_ptr<DocumentSource>(const DataSpec& spec, const std::string& path)>;

// Parses "NAME=PATH" (or a bare PATH: the name is its stem). Throws Error(kBadInput).
DataSpec ParseDataSpec(const std::string& argument);
// Throws Error(kNotFound, kBadInput) at once for paths and names that cannot work.
std::unique_ptr<DocumentSource> OpenDocuments(const std::vector<DataSpec>& specs,
                                              ParquetOpener open_parquet = nullptr);

}  // namespace moescope::text
