// The options shared by the commands that write text with a model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/change_options.h"
#include "engine/generate/generator.h"

namespace CLI {
class App;
}

namespace moescope::cli {

struct GenerationOptions {
  std::string model;
  int context = 0;  // 0: the model's, at most kDefaultContext
  int n_threads = 0;
  std::string memory;
  std::string weights = "mapped";
  std::string precision = "auto";
  std::string kv = "f32";
  std::string cache_policy = "lfu", forecast = "router";
  bool ignore_end = false;
  bool stats = false;
  engine::GenerateOptions generate;
  ChangeOptions changes;

  // A cache for more is allocated only when asked for.
  static constexpr int kDefaultContext = 4096;

  // What `precision` comes to for the model, whose headers are read for 'auto'.
  engine::Precision Precision() const;
  // How the model is opened so that a session has room beside its weights.
  engine::ModelOptions Model() const;
  engine::SessionOptions Session(const files::ModelConfig& config,
                                 engine::Profile* profile = nullptr) const;

 private:
  mutable std::optional<engine::Precision> chosen_precision_;
};

// Adds -m, -n, -c, -t, -s, --temperature, --top-k, --top-p, --min-p, --repetition-penalty, --stop,
// --ignore-end, those of AddChangeOptions, --memory, --weights, --cache-policy, --forecast,
// --precision, --kv, --stats.
void AddGenerationOptions(CLI::App& app, GenerationOptions& options);

}  // namespace moescope::cli
