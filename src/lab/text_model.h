// A model together with its tokenizer: what everything that reads or writes text starts from.
#pragma once

#include <memory>
#include <string>

#include "engine/model/model.h"
#include "text/tokenizer.h"

namespace moescope::lab {

struct TextModel {
  std::unique_ptr<engine::Model> model;
  std::unique_ptr<text::Tokenizer> tokenizer;
};

// For a sweep that takes what memory it gets: weights leave it half.
engine::ModelOptions SweepModel(uint64_t memory_bytes);

// Throws Error as Model::Open; kBadInput when there is no tokenizer that we read, saying why, or
// one with more tokens than the model.
TextModel OpenTextModel(const std::string& path, const engine::ModelOptions& options = {});

}  // namespace moescope::lab
