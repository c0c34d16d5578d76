// Logits of a model over given tokens, for comparisons with other implementations:
//   model_logits MODEL < LINES > FLOATS
// A line is token ids with blanks between; for each, n_tokens x vocab_size float32 numbers are
// written. A line that begins with "greedy N" writes the N tokens that follow by argmax instead, as
// int32.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/generate/session.h"
#include "engine/model/sweep.h"

namespace moescope {
namespace {

template <typename T>
void Write(const std::vector<T>& values) {
  std::fwrite(values.data(), sizeof(T), values.size(), stdout);
}

void WriteLogits(const engine::Model& model, ThreadPool& pool, const std::vector<int32_t>& ids) {
  const auto n = static_cast<int>(ids.size());
  engine::Sweep sweep(model, engine::SelectKernels(), pool,
                      {.wave_rows = n, .max_sequence = n, .losses = false});
  engine::Wave wave;
  wave.Add(0, 0, ids);
  sweep.Run(wave, {});
  for (int64_t row = 0; row < n; ++row) {
    const int64_t rows[] = {row};
    Write(sweep.Logits(rows));
  }
}

void WriteGreedy(const engine::Model& model, ThreadPool& pool, const std::vector<int32_t>& ids,
                 int n_tokens) {
  engine::Session session(model, engine::SelectKernels(), pool,
                          {.context = static_cast<int>(ids.size()) + n_tokens});
  std::vector<int32_t> generated;
  std::span<const int32_t> next = ids;
  while (static_cast<int>(generated.size()) < n_tokens) {
    const std::span<const float> logits = session.Advance(next);
    generated.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    next = std::span(generated).last(1);
  }
  Write(generated);
}

void Run(const std::string& path) {
  const auto model = engine::Model::Open(path);
  ThreadPool pool(0);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    int n_greedy = 0;
    if (line.starts_with("greedy ")) words >> line >> n_greedy;
    std::vector<int32_t> ids;
    for (int32_t id; words >> id;) ids.push_back(id);
    if (ids.empty()) continue;
    n_greedy > 0 ? WriteGreedy(*model, pool, ids, n_greedy) : WriteLogits(*model, pool, ids);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace moescope

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: model_logits MODEL < LINES > FLOATS\n", stderr);
    return 64;
  }
  try {
    moescope::Run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
