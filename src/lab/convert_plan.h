// What a conversion writes, tensor by tensor: names, shapes, order, and which tensors of the
// checkpoint each is made of. Types are the format's own concern.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files/checkpoint.h"
#include "files/tensor_names.h"

namespace moescope::lab {

// How rows of a head are put in another order for the output's rotary embedding.
enum class RowOrder { kAsStored, kHalvesToPairs, kPairsToHalves };

// One tensor of the output: one of the input, or several one after another along their rows (all
// experts of a layer; query, key and value).
struct OutputTensor {
  struct Part {
    const files::TensorLocation* location;
    RowOrder order = RowOrder::kAsStored;
  };
  std::string name;
  files::TensorKind kind;  // of the first part
  DType dtype = DType::kF32;
  std::vector<int64_t> shape = {};  // as written
  bool transposed = false;          // matrices are written [in, out]
  std::vector<Part> parts = {};
  std::vector<float> values = {};  // computed; then there are no parts
};

// The checkpoint's configuration; where it does not say which tokens begin and end a text, as
// Mistral's own layout does not, the tokenizer's.
files::ModelConfig ConfigWithTokenIds(const files::Checkpoint& checkpoint);

struct OutputLayout {
  const files::NameScheme& names;
  files::ModelConfig config;  // of the output: its rotary layout and scaling may be another
};

// The tensors of the output, embedding first, then the layers, then the head; dtype is float32
// throughout. A tied head is left out; query, key and value are fused where the family's own layout
// fuses them (llama.cpp does so, too). Requires: layout.config differs from the checkpoint's in
// name, rotary layout and scaling only. The checkpoint must outlive the result.
// Throws Error(kUnsupported) for a configuration without weights.
std::vector<OutputTensor> PlanTensors(const files::Checkpoint& checkpoint,
                                      const OutputLayout& layout);

// Bytes of all parts, for progress.
uint64_t BytesToRead(const std::vector<OutputTensor>& tensors);

// What GGUF holds as float32 whatever the type of the rest: vectors, routers (a rounded one chooses
// other experts) and learned positions.
bool IsAlwaysF32InGguf(const OutputTensor& tensor);

// The type all parts have in common, else float32.
DType StoredType(const OutputTensor& tensor);

}  // namespace moescope::lab
