// What a checkpoint's configuration says about the network, in our names, checked against limits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moescope::files {

// Which dimensions of a head turn together in the rotary embedding.
enum class RopeLayout {
  kHalves,       // d with d + head_dim/2 (Hugging Face)
  kInterleaved,  // 2d with 2d + 1 (GGUF `llama`, Mistral's own files)
};

struct ModelConfig {
  std::string architecture;  // "mixtral"
  int model_dim = 0;
  int n_layers = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int ffn_dim = 0;  // of one expert
  int vocab_size = 0;
  int context = 0;
  int n_experts = 0;
  int experts_per_token = 0;
  double rms_eps = 0;
  double rope_theta = 0;
  RopeLayout rope_layout = RopeLayout::kHalves;
  bool tied_embeddings = false;
  int bos_id = -1;  // -1: none
  int eos_id = -1;
};

// The limits of files/limits.h (layers <= 1024, experts <= 4096, 1 <= K <= E, heads divisible by
// kv heads, model_dim <= 65,536, vocabulary <= 2^22, context in 1..2^24, even head_dim).
// `origin` names the file in messages. Throws Error(kBadInput) naming the key and its value.
void CheckModelConfig(const ModelConfig& config, const std::string& origin);

// Reads a Hugging Face config.json, old style (`rope_theta`, `torch_dtype`, no `head_dim`) and new
// (`rope_parameters`, `dtype`). Throws Error(kCorrupt) for what is not JSON, kBadInput for a
// refused value, kUnsupported for an architecture we do not run, naming it and the known ones.
ModelConfig ParseConfigJson(const std::string& text, const std::string& path);

// Exact parameter counts. Source: routing-definitions of the Mixtral paper, arXiv 2401.04088.
struct ParameterCounts {
  uint64_t total = 0;
  uint64_t active = 0;  // per token: embeddings, head and K experts counted
  uint64_t one_expert = 0;
  uint64_t all_experts = 0;
  uint64_t attention = 0;  // all layers
  uint64_t router = 0;
  uint64_t norms = 0;
  uint64_t embeddings = 0;  // input and output
};
// Counts for `experts_per_token` experts (0: the configuration's own).
ParameterCounts CountParameters(const ModelConfig& config, int experts_per_token = 0);

}  // namespace moescope::files
