#include "files/gguf_vocabulary.h"

#include <fmt/format.h>

#include "files/limits.h"

namespace moescope::files {
namespace {

std::vector<PieceType> ReadPieceTypes(const GgufKeys& keys, const GgufFile& file) {
  const char* key = "tokenizer.ggml.token_type";
  const GgufArray& array = keys.Array(key);
  if (array.type != GgufType::kI32 && array.type != GgufType::kU32) {
    keys.Refuse(key, "32-bit integers", "another type");
  }
  std::vector<PieceType> types;
  for (int32_t type : file.ReadI32s(array)) {
    if (type < 1 || type > 6) keys.Refuse(key, "types from 1 to 6", std::to_string(type));
    types.push_back(static_cast<PieceType>(type));
  }
  return types;
}

}  // namespace

Vocabulary ReadGgufVocabulary(const GgufKeys& keys, const GgufFile& file) {
  const GgufArray& tokens = keys.Array("tokenizer.ggml.tokens");
  const GgufArray& scores = keys.Array("tokenizer.ggml.scores");
  const GgufArray& types = keys.Array("tokenizer.ggml.token_type");
  if (tokens.type != GgufType::kString || tokens.count < 1 ||
      tokens.count > static_cast<uint64_t>(kMaxVocabSize)) {
    keys.Refuse("tokenizer.ggml.tokens", fmt::format("1 to {} strings", kMaxVocabSize),
                fmt::format("{} elements", tokens.count));
  }
  if (scores.type != GgufType::kF32 || scores.count != tokens.count) {
    keys.Refuse("tokenizer.ggml.scores", fmt::format("{} float32 numbers", tokens.count),
                fmt::format("{} elements", scores.count));
  }
  if (types.count != tokens.count) {
    keys.Refuse("tokenizer.ggml.token_type", fmt::format("{} elements", tokens.count),
                std::to_string(types.count));
  }
  Vocabulary vocabulary;
  for (std::string& text : file.ReadStrings(tokens, kMaxVocabularyBytes)) {
    vocabulary.pieces.push_back({.text = std::move(text)});
  }
  std::vector<float> piece_scores = file.ReadF32s(scores);
  std::vector<PieceType> piece_types = ReadPieceTypes(keys, file);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    vocabulary.pieces[id].score = piece_scores[id];
    vocabulary.pieces[id].type = piece_types[id];
  }
  int64_t last = static_cast<int64_t>(tokens.count) - 1;
  vocabulary.unknown_id = keys.IntegerOr("tokenizer.ggml.unknown_token_id", 0, last, 0);
  int default_bos = keys.BooleanOr("tokenizer.ggml.add_bos_token", true) ? 1 : -1;
  vocabulary.bos_id = keys.IntegerOr("tokenizer.ggml.bos_token_id", 0, last, default_bos);
  vocabulary.eos_id = keys.IntegerOr("tokenizer.ggml.eos_token_id", 0, last, 2);
  vocabulary.add_space_prefix = keys.BooleanOr("tokenizer.ggml.add_space_prefix", true);
  vocabulary.remove_extra_whitespaces =
      keys.BooleanOr("tokenizer.ggml.remove_extra_whitespaces", false);
  CheckVocabulary(vocabulary, file.path());
  return vocabulary;
}

}  // namespace moescope::files
