// Documents to sequences: tokenising, BOS and chunk policy. A sequence is what attention sees.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/document.h"
#include "text/tokenizer.h"

namespace moescope::text {

enum class BosPolicy { kDocument, kNone, kStream };

// "document", "none", "stream". Throws Error(kBadInput) listing them.
BosPolicy ParseBosPolicy(const std::string& name);
std::string_view Name(BosPolicy policy);

struct SequencePolicy {
  BosPolicy bos = BosPolicy::kDocument;
  int chunk = 0;           // rows per sequence at most, BOS included; 0: documents stay whole
  int64_t max_tokens = 0;  // stop after so many rows (0: all); the last document is cut
  EncodeOptions encode = {};
};

// A document with its tokens: rows [0, n) of which the first may be BOS.
struct TokenisedDocument {
  int64_t document = 0;  // running index from 0
  std::string dataset, source, unit;
  uint64_t n_bytes = 0;
  uint64_t hash = 0;                 // XXH3 of the text (or of the ids when given as tokens)
  std::vector<int32_t> ids;          // row by row
  std::vector<uint32_t> byte_start;  // of the document's text; BOS and given ids cover [0, 0)
  std::vector<uint32_t> byte_end;
  bool has_bos = false;  // row 0 is special
  // Row at which each sequence starts: consecutive chunks of at most `chunk` rows.
  std::vector<int64_t> sequence_starts;
};

// Delivers tokenised documents in order. With `kStream` all texts of a data set are one document:
// joined exactly as they are, nothing between them, source and unit the data set's name.
// BOS goes nowhere if the format's own tokenizer puts none. Documents given as tokens keep their
// ids and get no BOS; one they begin with is seen as such. Documents without rows (no BOS and no
// text) are left out. Not thread-safe.
class SequenceReader {
 public:
  // Ids given as tokens are checked against the vocabulary: Error(kBadInput) naming document and
  // id. Requires: `tokenizer` outlives the reader.
  SequenceReader(std::unique_ptr<DocumentSource> documents, const Tokenizer& tokenizer,
                 const SequencePolicy& policy);
  ~SequenceReader();
  // Replaces `document`; false at the end. Throws what the source and the tokenizer throw.
  bool Next(TokenisedDocument& document);
  uint64_t bytes_read() const;
  uint64_t bytes_total() const;
  // The source's, of what has been read so far: to be asked at the end.
  std::vector<std::string> Warnings() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moescope::text
