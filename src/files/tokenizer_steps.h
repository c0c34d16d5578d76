// The parts of a tokenizer.json around its model: normaliser, pre-tokeniser, decoder, template.
#pragma once

#include <string>
#include <vector>

#include "files/json_tree.h"
#include "files/vocabulary.h"

namespace moescope::files {

// Each takes the value of one member of the file, null for none. What text/ does not follow is
// refused by name: Error(kUnsupported); what is no such part at all: Error(kCorrupt).
std::vector<NormaliserStep> ParseNormaliser(const JsonValue& value, const std::string& path);
std::vector<PreTokeniserStep> ParsePreTokeniser(const JsonValue& value, const std::string& path);
std::vector<DecoderStep> ParseDecoder(const JsonValue& value, const std::string& path);

struct TokenBefore {
  std::string text;  // "": none
  int32_t id = -1;
};
// The token the post-processor puts before a text. Tokens after the text are the caller's.
TokenBefore ParseTokenBefore(const JsonValue& value, const std::string& path);

}  // namespace moescope::files
