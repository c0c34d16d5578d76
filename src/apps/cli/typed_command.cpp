#include "apps/cli/typed_command.h"

#include <CLI/CLI.hpp>

#include "apps/cli/shell_word.h"

namespace moescope::cli {

std::string TypedCommand(const CLI::App& app) {
  std::string command = "moescope " + app.get_name();
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0) continue;
    command += " " + option->get_name();
    if (option->get_items_expected_max() == 0) continue;  // a flag
    for (const std::string& value : option->results()) command += " " + ShellWord(value);
  }
  return command;
}

}  // namespace moescope::cli
