#include "lab/text_model.h"

#include <fmt/format.h>

#include "base/error.h"

namespace moescope::lab {

TextModel OpenTextModel(const std::string& path, engine::Model::Residency residency) {
  TextModel opened;
  opened.model = engine::Model::Open(path, residency);
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
