// Made-up models of published shapes: random weights in a GGUF file, so that anybody can repeat a
// benchmark without the weights. Speed does not depend on what they say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/tensor/dtype.h"

namespace moescope::lab {

struct ShapeModelOptions {
  std::string shape;
  int n_layers = 4;  // 0: all of the shape
  DType dtype = DType::kQ4_K;
  uint64_t seed = 1;
};

// "mixtral-8x7b", ...
std::vector<std::string> ShapeNames();

// FOLDER/SHAPE-LAYERS-TYPE-SEED.gguf, written if it is not there yet (the same bytes each time):
// the shape's first layers, embeddings and head, matrices in `dtype`, router and norms in F32, and
// a vocabulary of made-up pieces that other programs accept. Weights are random with the size that
// keeps activations near 1. Returns the path; creates the folder.
// Throws Error(kBadInput) for an unknown shape or type, Error(kIo).
std::string MakeShapeModel(const ShapeModelOptions& options, const std::string& folder);

}  // namespace moescope::lab
