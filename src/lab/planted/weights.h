// A Mixtral whose weights are zero but where a test places them, with one coordinate of the
// residual stream for each thing that is known: what the planted models are made of. Written as the
// folder that any other checkpoint is.
//
// Coordinate 0 holds the constant 1,024 in every row, so it decides the root mean square, and norms
// are weighted to undo it: what a norm hands on is the residual itself within 1e-5 (as long as
// other coordinates stay below 5).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "files/model_config.h"
#include "files/tensor_kind.h"

namespace moescope::lab {

struct PlantedExpert {
  int layer = 0, expert = 0;
};

// Sizes of a planted model that tests may choose; the rest follows from them.
struct PlantedShape {
  int n_layers = 2;
  int n_experts = 8;
  int experts_per_token = 2;
  int n_heads = 2;
  int context = 256;
  int n_extra = 0;  // coordinates beside the constant and the token codes
};

class PlantedWeights {
 public:
  static constexpr int kConstant = 0;
  static constexpr int kHeadDim = 64;
  static constexpr int kFfnDim = 8;
  static constexpr int kBos = 1;

  // Tokens: <unk>, <s>, </s>, then one for each character. Every token has its code (1 in a
  // coordinate of its own) and the constant as embedding.
  // Requires: printable ASCII, no space, nothing twice.
  PlantedWeights(std::string_view characters, const PlantedShape& shape);

  const files::ModelConfig& config() const { return config_; }
  int TokenOf(char character) const;
  // The coordinate of a token's code, and the i-th extra one.
  int CodeOf(int token) const { return 1 + token; }
  int CodeOf(char character) const { return CodeOf(TokenOf(character)); }
  int Extra(int i) const { return 1 + config_.vocab_size + i; }

  // One element of a tensor, [rows, columns] (vectors: row 0).
  void Set(files::TensorId id, int64_t row, int64_t column, double value);
  // The same, `column` being a coordinate of the residual stream that is `value` where its thing is
  // there; of the constant, everywhere.
  void Read(files::TensorId id, int64_t row, int coordinate, double value);

  // Adds to an expert: where coordinate `from` is 1, `value` into coordinate `to`.
  // Requires: `from` is 1 or 0. At most kFfnDim an expert.
  void ExpertWrites(int layer, int expert, int from, int to, double value);
  // Router logit of an expert where a coordinate is 1.
  void RouterReads(int layer, int expert, int coordinate, double logit);
  // Logit of the token where a coordinate is 1.
  void HeadReads(int token, int coordinate, double logit);

  // Makes a tensor all zeros: for variants of a model without one of its parts.
  void Clear(files::TensorId id);

  // config.json, model.safetensors (float32) and tokenizer.model into a folder, which is made.
  // Throws Error(kIo).
  void Write(const std::string& folder) const;

 private:
  std::vector<float>& Values(files::TensorId id);
  std::string TokenizerModel() const;

  std::string characters_;
  files::ModelConfig config_;
  std::map<files::TensorId, std::vector<float>> values_;  // tensors that are not all zeros
  std::map<std::pair<int, int>, int> n_hidden_;           // units in use, by layer and expert
};

}  // namespace moescope::lab
