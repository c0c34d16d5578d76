// Checkpoints of every family, written to a folder, and their values by role: what the tests of
// `convert` convert and compare.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "files/checkpoint.h"
#include "files/tiny_model.h"

namespace moescope::lab {

struct FamilyModel {
  std::string name;    // of the family
  std::string config;  // config.json
};
// Rows of 32 elements, so that every type can be written; each with the members in which its
// family differs (a window, biases and a scaling, routing weights that are not normalised).
const std::vector<FamilyModel>& FamilyModels();

// All tensors under the names of the family's classic layout. Values differ from place to place and
// are ones that float16 and bfloat16 hold, stored as `dtype`.
std::vector<files::TinyTensor> TensorsOf(const FamilyModel& model, DType dtype);
// config.json and model.safetensors.
std::map<std::string, std::string> FolderOf(const FamilyModel& model, DType dtype);
files::Checkpoint OpenInMemory(const std::map<std::string, std::string>& contents);

// All values of a tensor, row-major.
std::vector<float> ValuesOf(const files::Checkpoint& checkpoint,
                            const files::TensorLocation& location);
// As the checkpoint would hold them with rotary pairs as halves (d with d + head_dim / 2).
std::vector<float> ValuesInHalves(const files::Checkpoint& checkpoint, files::TensorId id);

}  // namespace moescope::lab
