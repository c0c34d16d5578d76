#include "apps/cli/profile_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/platform/cpu.h"
#include "base/units.h"
#include "lab/bench.h"

namespace moescope::cli {

using nlohmann::ordered_json;

std::unique_ptr<engine::Profile> ProfileOptions::Make(int n_threads) const {
  if (!print && timeline.empty()) return nullptr;
  return std::make_unique<engine::Profile>(n_threads > 0 ? n_threads : AvailableCores(),
                                           !timeline.empty());
}

void AddProfileOptions(CLI::App& app, ProfileOptions& options) {
  app.add_flag(
      "--profile", options.print,
      "print time, arithmetic and bytes by kind of work, as shares of the machine's limits");
  app.add_option("--timeline", options.timeline,
                 "write what each thread did when, for chrome://tracing or Perfetto");
}

std::vector<lab::ProfileRow> FinishProfile(const ProfileOptions& options,
                                           const engine::Profile& profile,
                                           const files::Checkpoint& checkpoint,
                                           engine::Precision precision) {
  if (!options.timeline.empty()) lab::WriteTimeline(profile, options.timeline);
  if (!options.print) return {};
  return lab::SummariseProfile(profile, checkpoint, precision,
                               lab::BenchMachine(profile.n_threads()));
}

std::string FormatProfile(const std::vector<lab::ProfileRow>& rows) {
  std::string text =
      fmt::format("{:<17} {:>7} {:>10} {:>9} {:>9} {:>16} {:>8} {:>7}\n", "work", "time",
                  "thread s", "tasks", "GFLOP/s", "of the peak", "GB/s", "of DRAM");
  for (const lab::ProfileRow& row : rows) {
    text += fmt::format("{:<17} {:>5.1f} % {:>10.3f} {:>9}", row.work, 100 * row.share_of_time,
                        row.seconds, FormatCount(static_cast<uint64_t>(row.n_tasks)));
    if (!row.limit.empty()) {
      text +=
          fmt::format(" {:>9.1f} {:>9.1f} % {} {:>8.2f} {:>5.1f} %", row.gflops,
                      100 * row.share_of_limit, row.limit, row.gb_per_s, 100 * row.share_of_dram);
    }
    text += '\n';
  }
  return text;
}

ordered_json ProfileJson(const std::vector<lab::ProfileRow>& rows) {
  ordered_json json = ordered_json::array();
  for (const lab::ProfileRow& row : rows) {
    ordered_json of_row = {{"work", row.work},
                           {"tasks", row.n_tasks},
                           {"thread_seconds", row.seconds},
                           {"share_of_time", row.share_of_time}};
    if (!row.limit.empty()) {
      of_row["gflop_per_s"] = row.gflops;
      of_row["limit"] = row.limit;
      of_row["share_of_limit"] = row.share_of_limit;
      of_row["gb_per_s"] = row.gb_per_s;
      of_row["share_of_dram"] = row.share_of_dram;
    }
    json.push_back(of_row);
  }
  return json;
}

}  // namespace moescope::cli
