// Parts: consecutive documents cut from the journal into Parquet files. What is written depends on
// the rows alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/database.h"
#include "store/journal.h"
#include "store/manifest.h"
#include "store/row_source.h"
#include "store/wave.h"

namespace moescope::store {

struct VocabularyEntry {
  std::string bytes;  // as the token continues a text
  std::string text;   // for display; what is not UTF-8 is stored as U+FFFD
};

// The rows of one part.
struct PartRows {
  std::vector<DocumentRecord> documents;
  int64_t first_token = 0;
  int64_t n_tokens = 0;
  int64_t first_document = 0;
  JournalRows journal;
};

// Owns a database of its own. Not thread-safe; memory stays within memory_bytes, or 32 MB if that
// is more.
class PartCutter {
 public:
  PartCutter(const std::string& directory, const RunDescription& description,
             uint64_t memory_bytes);

  // Each writes files that are durable under their final names when it returns.
  // Throw Error(kIo) with bytes needed and free when the disk is full; nothing half-written stays.
  FileEntry WriteVocabulary(const std::vector<VocabularyEntry>& vocabulary);
  PartEntry WritePart(int64_t index, const PartRows& rows);

 private:
  FileEntry WriteFile(const std::string& path, RowSource& rows);
  // Files of layers first, first + 2, ... into their places in `files`.
  void WriteEveryOtherLayer(size_t first, int64_t index, const PartRows& rows,
                            std::span<FileEntry> files);

  std::string directory_;
  RunDescription description_;
  std::vector<int> layers_;
  Database database_;
  std::unique_ptr<RowSource> current_;  // what the table function reads
  // A second one beside it where memory allows: a file is written by one connection on one thread,
  // so two files at a time are the same bytes.
  std::unique_ptr<PartCutter> second_;
};

// A float32 rounded to 12 mantissa bits, ties to even: what margins and entropies are stored with.
float RoundedTo12Bits(float value);

// XXH3 of a file as 16 hex digits, and its size. Throws Error(kNotFound, kIo).
struct FileHash {
  std::string xxh3;
  uint64_t bytes = 0;
};
FileHash HashFile(const std::string& path);

}  // namespace moescope::store
