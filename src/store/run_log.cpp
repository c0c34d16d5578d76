#include "store/run_log.h"

#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "store/run_lock.h"

namespace moescope::store {

void AppendRunLog(const std::string& directory, const std::string& event, int64_t n_tokens) {
  std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char time[32] = {};
  std::strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", &utc);
  nlohmann::ordered_json line = {{"event", event},
                                 {"time", time},
                                 {"host", HostName()},
                                 {"pid", getpid()},
                                 {"cores", std::thread::hardware_concurrency()},
                                 {"n_tokens", n_tokens}};
  std::ofstream file(std::filesystem::path(directory) / kRunLogName, std::ios::app);
  file << line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

}  // namespace moescope::store
