// Models of a known shape with random weights, so that anyone can repeat a benchmark without the
// real ones.
#pragma once

#include <string>

#include "base/tensor/dtype.h"
#include "files/model_config.h"

namespace moescope::lab {

// "mixtral-8x7b" or "mixtral-8x22b" with `n_layers` layers (0: all of them). Throws
// Error(kBadInput) for another name, listing those known.
files::ModelConfig SyntheticConfig(const std::string& shape, int n_layers);

// Writes a GGUF file at `path`: matrices of `dtype`, random bits with scales that keep activations
// near one; norms of ones, routers float32, a tokenizer of bytes. The same bytes for the same
// arguments. Requires: a quantised type. Throws Error(kBadInput) where rows are not whole blocks
// of the type, or the type has no random scale yet; kIo; kCancelled.
void WriteSyntheticModel(const std::string& path, const files::ModelConfig& config, DType dtype);

}  // namespace moescope::lab
