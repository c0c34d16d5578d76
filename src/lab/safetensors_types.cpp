#include "lab/safetensors_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace moescope::lab {
namespace {

bool IsFloat(DType dtype) {
  return Info(dtype).block_elements == 1;
}

DType UnquantisedType(const OutputTensor& tensor) {
  const DType stored = StoredType(tensor);
  return IsFloat(stored) ? stored : DType::kBF16;
}

// By elements, not counting what GGUF widens.
DType TypeOfMost(const std::vector<OutputTensor>& tensors) {
  std::map<DType, uint64_t> elements;
  for (const OutputTensor& tensor : tensors) {
    if (IsAlwaysF32InGguf(tensor)) continue;
    uint64_t n = 1;
    for (int64_t dimension : tensor.shape) n *= static_cast<uint64_t>(dimension);
    elements[UnquantisedType(tensor)] += n;
  }
  auto most = std::max_element(elements.begin(), elements.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == elements.end() ? DType::kF32 : most->first;
}

}  // namespace

DType ChooseSafetensorsTypes(std::optional<DType> wanted, bool from_gguf, TensorCopier& copier,
                             std::vector<OutputTensor>& tensors, std::vector<std::string>& kept) {
  const DType most = wanted.value_or(TypeOfMost(tensors));
  for (OutputTensor& tensor : tensors) {
    tensor.dtype = wanted.value_or(UnquantisedType(tensor));
    const bool widened = !wanted && from_gguf && IsAlwaysF32InGguf(tensor) &&
                         tensor.dtype == DType::kF32 && most != DType::kF32;
    if (!widened) continue;
    if (copier.FitsExactly(tensor, most)) {
      tensor.dtype = most;
    } else {
      kept.push_back(fmt::format("{} stays F32: {} would round it", tensor.name, Name(most)));
    }
  }
  return most;
}

}  // namespace moescope::lab
