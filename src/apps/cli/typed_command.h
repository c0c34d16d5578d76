// A command as it was typed, for pages that say what makes them.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace moescope::cli {

// "moescope NAME --option value ...", each word as a shell takes it. Requires: `app` is a
// subcommand that was parsed.
std::string TypedCommand(const CLI::App& app);

}  // namespace moescope::cli
