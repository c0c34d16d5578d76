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

// Throws Error as Model::Open; kBadInput when there is no tokenizer that we read, saying why, or
// one with more tokens than the model.
TextModel OpenTextModel(const std::string& path,
                        engine::Model::Residency residency = engine::Model::Residency::kMapped);

}  // namespace moescope::lab
