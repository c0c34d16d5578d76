// The options shared by every command that reads text through a model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/ops/precision.h"
#include "text/document.h"
#include "text/sequences.h"

namespace CLI {
class App;
}

namespace moescope::cli {

// What was typed; Apply* turn it into what the library takes and throw Error on what cannot be.
struct TextOptions {
  std::string model;
  std::vector<std::string> data;
  std::vector<std::string> unit_by;
  std::string text_template;
  bool raw = false;
  std::string bos = "document";
  std::string specials;  // "": as the format does
  std::string add_prefix_space = "auto";
  int chunk = 0;
  int64_t max_tokens = 0;
  std::string precision = "auto";
  std::string memory;
  int n_threads = 0;

  std::vector<text::DataSpec> Data() const;
  text::SequencePolicy Policy() const;
  engine::Precision Precision() const;
  uint64_t MemoryBytes() const;  // 0: not given
};

// Adds --data, --unit-by, --template, --raw: what documents are.
void AddDataOptions(CLI::App& app, TextOptions& options);
// Adds -m, --data, --unit-by, --template, --raw, --bos, --specials, --add-prefix-space, --chunk,
// --max-tokens, --precision, --memory, -t.
std::shared_ptr<TextOptions> AddTextOptions(CLI::App& app);

}  // namespace moescope::cli
