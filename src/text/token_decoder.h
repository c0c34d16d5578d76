// From the tokens of a BPE vocabulary back to bytes, one token at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "files/vocabulary.h"

namespace moescope::text {

// Immutable and thread-safe.
class TokenDecoder {
 public:
  explicit TokenDecoder(const files::Vocabulary& vocabulary);

  // The bytes of a piece as it continues a text. Requires: the piece stands for text.
  std::string Bytes(const std::string& piece) const;
  // The same where it may be the first of a text; `at_start` is updated.
  std::string NextBytes(const std::string& piece, bool& at_start) const;

 private:
  std::vector<files::DecoderStep> steps_;
  bool byte_level_ = false;
  bool byte_fallback_ = false;
};

}  // namespace moescope::text
