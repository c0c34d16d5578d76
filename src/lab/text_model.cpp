#include "lab/text_model.h"

#include <fmt/format.h>

#include "base/error.h"

namespace moescope::lab {

engine::ModelOptions SweepModel(uint64_t memory_bytes) {
  return {.memory_bytes = memory_bytes,
          .rest_bytes = [](const files::ModelConfig&, uint64_t most) { return most / 2; }};
}

TextModel OpenTextModel(const std::string& path, const engine::ModelOptions& options) {
  TextModel opened;
  opened.model = engine::Model::Open(path, options);
  const files::Checkpoint& checkpoint = opened.model->checkpoint();
  if (!checkpoint.vocabulary()) {
    throw Error(ErrorKind::kBadInput, fmt::format("no tokenizer: {}", checkpoint.tokenizer_note()));
  }
  opened.tokenizer = text::MakeTokenizer(checkpoint.vocabulary());
  const int vocab_size = checkpoint.config().vocab_size;
  if (opened.tokenizer->vocab_size() > vocab_size) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("tokenizer does not fit: {}: expected at most {} pieces, found {}",
                            path, vocab_size, opened.tokenizer->vocab_size()));
  }
  return opened;
}

}  // namespace moescope::lab
