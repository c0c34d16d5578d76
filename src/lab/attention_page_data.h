// The JSON block of an attention page (docs/attention.md): figures and matrices of all heads of one
// or several models over the same text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files/model_config.h"
#include "lab/attention.h"
#include "lab/attention_matrices.h"
#include "lab/sink_routes.h"

namespace moescope::lab {

// Cells that the matrices of all models on a page may have together: a byte each, 4 MB in base64.
inline constexpr int64_t kMaxPageCells = 3'000'000;

struct AttentionPageModel {
  std::string path;  // as named on the command line
  std::string identity;
  const files::ModelConfig* config = nullptr;
  std::vector<std::string> tokens;  // for display
  std::vector<HeadFigures> heads;   // by layer, then head
  const AttentionMatricesProbe* matrices = nullptr;
  std::vector<SinkRoute> sink_routes;  // none where the model is dense
};

struct AttentionPageOptions {
  std::string title = {};
  std::string command = {};  // that makes the page
  std::string kernel_level = {};
  int layer = -1, head = -1;  // shown first; -1: the page chooses
};

// Matrices that the page holds of a model: one a head and the mean of heads a layer.
MatricesWanted MatricesOnPage(const files::ModelConfig& config, int64_t n_tokens);

std::string AttentionPageData(const AttentionPageOptions& options,
                              const std::vector<AttentionPageModel>& models);

// A weight as the page keeps it, finer for small ones: 255 times its square root, so that
// (byte/255)^2 is within sqrt(weight)/255 + 4e-6 of it.
uint8_t ByteOfWeight(double weight);
// Source: RFC 4648, section 4.
std::string Base64(const std::vector<uint8_t>& bytes);

}  // namespace moescope::lab
