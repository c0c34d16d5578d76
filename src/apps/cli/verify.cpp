// moescope verify RUN: re-hashes every file of a run.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "base/error.h"
#include "base/units.h"
#include "store/run.h"
#include "store/valid_utf8.h"

namespace moescope::cli {
namespace {

struct VerifyOptions {
  std::string run;
  bool json = false;
};

void Verify(const VerifyOptions& options) {
  store::VerifyResult result = store::VerifyRun(options.run);
  if (options.json) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const std::string& problem : result.problems) {
      rows.push_back({{"problem", store::ValidUtf8(problem)}});
    }
    nlohmann::ordered_json report = {{"rows", rows},
                                     {"n_files", result.n_files},
                                     {"n_bytes", result.n_bytes},
                                     {"complete", result.complete},
                                     {"ok", result.problems.empty()}};
    fmt::print("{}\n", report.dump());
  } else {
    for (const std::string& problem : result.problems) fmt::print("{}\n", problem);
    if (result.problems.empty()) {
      fmt::print("{} files, {}: as written{}\n", result.n_files, FormatBytes(result.n_bytes),
                 result.complete ? "" : "; the run is unfinished");
    }
  }
  if (result.problems.empty()) return;
  throw Error(
      ErrorKind::kCorrupt,
      fmt::format("cannot trust run: {}: expected files as written, found {} problem{}; "
                  "trace it again, or restore the named files from a copy",
                  options.run, result.problems.size(), result.problems.size() == 1 ? "" : "s"));
}

}  // namespace

std::function<void()> AddVerify(CLI::App& app) {
  auto options = std::make_shared<VerifyOptions>();
  app.add_option("run", options->run, "Run directory")->required();
  app.add_flag("--json", options->json, "Print {\"rows\": [{\"problem\": ...}], \"ok\": ...}");
  return [options] { Verify(*options); };
}

}  // namespace moescope::cli
