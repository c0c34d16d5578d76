// Writes a made-up run and asks it: seconds spent committing waves and cutting parts, bytes per
// (token, layer), and the SQL that says which tokens went to an expert and which experts saw one.
//   store_bench FOLDER [tokens = 1250000] [layers = 8] [memory in MB = 64]
// The run is written anew each time and kept. The exit code is 1 if a count is wrong or if routes
// take more than 16 bytes per (token, layer).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "store/run.h"
#include "store/synthetic_run.h"

namespace moescope {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void Write(const store::SyntheticRun& run, const std::string& folder, uint64_t memory_bytes) {
  std::vector<store::DocumentRecord> documents = run.Documents();
  store::RunWriter writer(folder, run.description, store::SyntheticVocabulary(256), memory_bytes);
  double commit_seconds = 0;
  constexpr int64_t kWaveTokens = 8'192;
  while (writer.n_tokens() < run.n_tokens) {
    int64_t first = writer.n_tokens();
    store::SyntheticWave wave = store::MakeWave(run, documents, writer.n_documents_begun(), first,
                                                std::min(first + kWaveTokens, run.n_tokens));
    const auto start = Clock::now();
    writer.CommitWave(wave.documents, wave.tokens, wave.Routes());
    commit_seconds += SecondsSince(start);
  }
  const auto start = Clock::now();
  writer.Finish();
  fmt::print("commit {:.2f} s, then {:.2f} s until the run was complete\n", commit_seconds,
             SecondsSince(start));
}

// Bytes of routes per (token, layer).
double Measure(const store::SyntheticRun& run, const std::string& folder) {
  uint64_t routes = 0;
  uint64_t total = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    total += entry.file_size();
    if (entry.path().string().find("/routes/") != std::string::npos) routes += entry.file_size();
  }
  double n = static_cast<double>(run.n_tokens) * run.description.n_layers;
  fmt::print("{:.2f} bytes per (token, layer), {:.2f} with all files\n",
             static_cast<double>(routes) / n, static_cast<double>(total) / n);
  return static_cast<double>(routes) / n;
}

// Prints the best of five warm runs; returns the first value.
int64_t Ask(store::Database& database, const std::string& sql) {
  store::Table table;
  double best = 1e9;
  for (int i = 0; i < 6; ++i) {
    const auto start = Clock::now();
    table = database.Query(sql);
    if (i > 0) best = std::min(best, SecondsSince(start));
  }
  fmt::print("{:6.3f} s  {}\n", best, sql);
  const auto* value = std::get_if<int64_t>(&table.rows.at(0).at(0));
  return value == nullptr ? -1 : *value;
}

int Run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: store_bench FOLDER [tokens] [layers] [memory in MB]\n");
    return 64;
  }
  store::SyntheticRun run;
  run.n_tokens = argc > 2 ? std::atoll(argv[2]) : 1'250'000;
  int n_layers = argc > 3 ? std::atoi(argv[3]) : 8;
  uint64_t memory_bytes = (argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 64) << 20;
  run.description = store::SyntheticDescription(n_layers, 8, 2);
  std::filesystem::remove_all(argv[1]);
  Write(run, argv[1], memory_bytes);
  double route_bytes = Measure(run, argv[1]);
  auto database = store::Run::Open(argv[1]).OpenViews({});
  int64_t n_routes = Ask(*database, "SELECT count(token) FROM routes");
  int64_t n_seen = Ask(*database, "SELECT sum(n)::BIGINT FROM token_experts(7)");
  int64_t n_choices =
      2 * n_layers * Ask(*database, "SELECT count(*) FROM tokens WHERE token_id = 7");
  Ask(*database, "SELECT * FROM expert_tokens(0, 2) LIMIT 20");
  Ask(*database, "SELECT layer, rank, expert, weight FROM assignments WHERE token = 7777");
  bool right = n_routes == run.n_tokens * n_layers && n_seen == n_choices && route_bytes <= 16;
  fmt::print("{}\n", right ? "ok" : "WRONG");
  return right ? 0 : 1;
}

}  // namespace
}  // namespace moescope

int main(int argc, char** argv) {
  try {
    return moescope::Run(argc, argv);
  } catch (const moescope::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return moescope::ExitCode(error.kind());
  }
}
