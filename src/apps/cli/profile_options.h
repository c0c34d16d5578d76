// --profile and --timeline, of the commands that people wait for.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/model/profile.h"
#include "files/checkpoint.h"
#include "lab/engine_profile.h"

namespace CLI {
class App;
}

namespace moescope::cli {

struct ProfileOptions {
  bool print = false;
  std::string timeline;  // path; empty: none

  // For a pool made with n_threads (0: one a core); null when neither was asked for.
  std::unique_ptr<engine::Profile> Make(int n_threads) const;
};
void AddProfileOptions(CLI::App& app, ProfileOptions& options);

// Writes the timeline and measures the machine, which takes some seconds, as far as asked for.
std::vector<lab::ProfileRow> FinishProfile(const ProfileOptions& options,
                                           const engine::Profile& profile,
                                           const files::Checkpoint& checkpoint,
                                           engine::Precision precision);

std::string FormatProfile(const std::vector<lab::ProfileRow>& rows);
nlohmann::ordered_json ProfileJson(const std::vector<lab::ProfileRow>& rows);

}  // namespace moescope::cli
