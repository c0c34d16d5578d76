// The journal: one checksummed block a wave, appended and synced, until parts are cut from it.
// It is kept in segments so that what parts have taken over can be removed. Format:
// docs/trace-format.md.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "store/wave.h"

namespace moescope::store {

// The shape of every block of a run.
struct JournalShape {
  int n_layers = 0;
  int n_experts = 0;
  int experts_per_token = 0;
  bool has_logits = false;

  uint64_t RouteBytes() const;  // of one token at one layer; 0 without experts
};

// One file of the journal, opened for appending and reading. Closed with the last user.
struct JournalSegment {
  std::string path;
  int fd = -1;
  int64_t end_token = 0;
  ~JournalSegment();
};

// Where the rows of one wave lie.
struct JournalBlock {
  std::shared_ptr<const JournalSegment> segment;
  uint64_t tokens_offset = 0;  // of the first TokenRecord in the file
  int64_t first_token = 0;
  int64_t n_tokens = 0;
};

// Consecutive blocks, read by token range. Immutable; threads may share one.
class JournalRows {
 public:
  JournalRows(const JournalShape& shape, std::vector<JournalBlock> blocks)
      : shape_(shape), blocks_(std::move(blocks)) {}

  // Rows [first, first + n) in token order. Throws Error(kIo), kCorrupt.
  void ReadTokens(int64_t first, int64_t n, TokenRecord* out) const;
  // `layer` counts the layers of the run from 0.
  void ReadExperts(int layer, int64_t first, int64_t n, int16_t* out) const;
  void ReadWeights(int layer, int64_t first, int64_t n, float* out) const;
  void ReadMargins(int layer, int64_t first, int64_t n, float* out) const;
  void ReadEntropies(int layer, int64_t first, int64_t n, float* out) const;
  void ReadLogits(int layer, int64_t first, int64_t n, float* out) const;
  const JournalShape& shape() const { return shape_; }

 private:
  // One array of a block: `before` bytes a token of arrays that precede it, `width` of its own.
  struct Array {
    uint64_t before = 0;
    uint64_t width = 0;
  };
  Array LayerArray(int layer, uint64_t before_in_layer, uint64_t width) const;
  void Read(const Array& array, int64_t first, int64_t n, void* out) const;

  JournalShape shape_;
  std::vector<JournalBlock> blocks_;
};

// One thread appends; another may ask for rows and remove what is no longer needed.
class Journal {
 public:
  // Opens the journal in `directory` (created if absent), which continues a run of `n_tokens`
  // tokens and `n_documents` documents in parts. Blocks the parts have are dropped, torn blocks at
  // the end are cut off. Throws Error(kIo), and kCorrupt for damage that a crash cannot explain.
  Journal(const std::string& directory, const JournalShape& shape, int64_t n_tokens,
          int64_t n_documents);

  // Documents found when opening that are not in parts wholly: those whose first token is at or
  // after the first token of the journal.
  std::vector<DocumentRecord> TakeDocuments() { return std::move(documents_); }
  // Tokens and documents of parts and journal together.
  int64_t n_tokens() const { return n_tokens_; }
  int64_t n_documents() const { return n_documents_; }

  // Appends a wave; it is durable when this returns. Throws Error(kIo); the journal is then as
  // before. Requires: the records continue the run, spans have the sizes of the shape.
  void Append(std::span<const DocumentRecord> documents, std::span<const TokenRecord> tokens,
              std::span<const LayerRoutes> routes);
  // The next Append begins a new segment. For the thread that appends.
  void CloseSegment();

  // Blocks that hold tokens of [first, end).
  JournalRows Rows(int64_t first, int64_t end) const;
  // Removes closed segments of which parts have all tokens.
  void RemoveBefore(int64_t token);
  // Removes the journal altogether. No calls afterwards.
  void RemoveAll();

 private:
  bool OpenSegment(const std::string& path);
  bool ReadBlock(const std::shared_ptr<JournalSegment>& segment, uint64_t& offset, uint64_t size);
  void BeginSegment();
  void WriteBlock(ByteSpan header, std::span<const ByteSpan> pieces, uint64_t n_bytes);

  std::string directory_;
  JournalShape shape_;
  int64_t n_tokens_ = 0;
  int64_t n_documents_ = 0;
  std::vector<DocumentRecord> documents_;
  std::shared_ptr<JournalSegment> current_;  // the appender's
  uint64_t current_bytes_ = 0;
  bool broken_ = false;  // torn bytes at its end could not be cut off

  mutable std::mutex mutex_;  // guards the lists
  std::deque<std::shared_ptr<JournalSegment>> segments_;
  std::deque<JournalBlock> blocks_;
};

}  // namespace moescope::store
