// Which element type each tensor of a safetensors output gets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lab/convert_plan.h"
#include "lab/tensor_copier.h"

namespace moescope::lab {

// Sets every tensor's type and returns that of most weights. With `wanted`: that one. Without: the
// stored type, BF16 for what is quantised; and of a GGUF source the float32 that it holds vectors
// and routers as becomes the type of the matrices again where that keeps every value. `kept` gets a
// line where it does not. Throws as TensorCopier::FitsExactly.
DType ChooseSafetensorsTypes(std::optional<DType> wanted, bool from_gguf, TensorCopier& copier,
                             std::vector<OutputTensor>& tensors, std::vector<std::string>& kept);

}  // namespace moescope::lab
