// The command line: a table of commands, one place that turns errors into exit codes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/describe_path.h"
#include "apps/cli/printable.h"
#include "base/cancellation.h"
#include "base/error.h"

namespace moescope::cli {

std::span<const Command> Commands();

namespace {

int Run(int argc, char** argv) {
  CLI::App app("A microscope for mixture-of-experts language models, and the engine under it.",
               "moescope");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Options of every command");
  app.set_version_flag("--version", MOESCOPE_VERSION);
  std::vector<std::pair<CLI::App*, std::function<void()>>> actions;
  for (const Command& command : Commands()) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    actions.emplace_back(sub, command.add(*sub));
  }
  auto name = [](const Command& command) { return std::string_view(command.name); };
  if (argc == 2 && IsDescribable(argv[1]) &&
      std::ranges::find(Commands(), std::string_view(argv[1]), name) == Commands().end()) {
    DescribePath(argv[1]);
    return 0;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "error: {}; see 'moescope --help'\n", error.what());
    return ExitCode(ErrorKind::kUsage);
  }
  for (auto& [sub, action] : actions) {
    if (sub->parsed()) action();
  }
  return 0;
}

}  // namespace
}  // namespace moescope::cli

int main(int argc, char** argv) {
  using moescope::Error;
  using moescope::ErrorKind;
  try {
    moescope::InstallCancellationSignals();
    return moescope::cli::Run(argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", moescope::cli::Printable(error.what()));
    return moescope::ExitCode(error.kind());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory; give a smaller --memory or close other programs\n");
    return moescope::ExitCode(ErrorKind::kResource);
  } catch (const std::system_error& error) {
    const bool no_thread = error.code() == std::errc::resource_unavailable_try_again;
    fmt::print(
        stderr, "error: {}: {}; {}\n", no_thread ? "cannot start a thread" : "internal error",
        error.what(),
        no_thread ? "use fewer threads or allow the process more memory" : "please report it");
    return moescope::ExitCode(no_thread ? ErrorKind::kResource : ErrorKind::kInternal);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: internal error: {}; please report it\n", error.what());
    return moescope::ExitCode(ErrorKind::kInternal);
  }
}
