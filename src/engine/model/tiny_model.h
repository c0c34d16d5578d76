// A random Mixtral checkpoint of any small shape, written to a folder, for tests.
#pragma once

#include <cstdint>
#include <string>

#include "base/tensor/dtype.h"
#include "files/model_config.h"

namespace moescope::engine {

// Sizes that divide nothing evenly: tails everywhere.
files::ModelConfig OddTinyConfig();

// Writes config.json and model.safetensors (classic names) into a fresh folder under the system's
// temporary directory and returns its path. Weights are normal with a spread that keeps
// activations near one. Throws std::runtime_error.
std::string WriteTinyModel(const files::ModelConfig& config, DType dtype, uint32_t seed);

// Overwrites one element of a tensor in a model's files.
void PatchTensor(const std::string& model_path, const std::string& tensor, int64_t element,
                 float value);

}  // namespace moescope::engine
