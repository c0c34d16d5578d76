// What a run is, apart from its data: the head of manifest.json. Two commands with equal
// descriptions write byte-identical runs. Nothing here depends on threads, waves, budget, time,
// host or paths.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moescope::store {

inline constexpr int kSchemaVersion = 1;

struct DatasetDescription {
  std::string name;
  std::string unit_by;        // "": the document; "-": one unit; else the field's name
  std::string text_template;  // "": the `text` field
};

struct RunDescription {
  // model
  std::string model_name;  // architecture and file or folder name, for people
  std::string architecture;
  std::string model_identity;  // 16 hex digits
  std::string expert_type;     // "BF16": storage type of the expert weights, or of a dense model's
                               // feed-forward weights
  std::string router_type;     // "": dense
  int n_layers = 0;            // layers with routes; of a dense run: the model's
  // Their numbers, increasing; empty: 0..n_layers-1. Imported runs and models with dense layers
  // among the others leave some out.
  std::vector<int> layers;
  int n_experts = 0;  // 0, and experts_per_token too: a dense run, tokens and losses without routes
  int experts_per_token = 0;
  std::string score_function;  // "softmax over chosen"; "": dense
  // tokenizer, documents
  std::string tokenizer_identity;
  int vocab_size = 0;
  std::string bos;  // "document", "none", "stream"
  int chunk = 0;
  int64_t max_tokens = 0;  // 0: all
  bool raw = false;
  std::vector<DatasetDescription> datasets;
  // arithmetic
  std::string precision;     // "exact"
  std::string kernel_level;  // "avx2"
  std::string engine_version;
  bool has_logits = false;
  bool has_losses = true;
  std::vector<std::string> interventions;
  // How tokens are cut into parts; a part holds whole documents.
  int64_t tokens_per_part = int64_t{1} << 20;

  bool is_dense() const { return n_experts == 0; }
  // How many layers have routes: n_layers, or none of a dense run.
  int n_route_layers() const { return is_dense() ? 0 : n_layers; }
  // Their numbers, in order.
  std::vector<int> LayerNumbers() const;
  // What statistics resample in a data set: its unit_by, "-" where it is one stream.
  std::string UnitBy(const std::string& dataset) const;
};

// Throws Error(kBadInput) naming the first field outside the limits of docs/trace-format.md.
void CheckDescription(const RunDescription& description);
// The description as the manifest gives it back: text that is not UTF-8 has U+FFFD in its place.
RunDescription Normalised(RunDescription description);
// "" when equal, else the first field that differs with both values: "precision: exact, not fast".
std::string FirstDifference(const RunDescription& ours, const RunDescription& theirs);

}  // namespace moescope::store
