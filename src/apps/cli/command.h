// One row of the command table. Each command lives in a file of its own: it declares its options on
// a CLI11 subcommand and hands back what to run once they are parsed.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace moescope::cli {

struct Command {
  const char* name;
  const char* summary;
  // Adds options to the subcommand; the result runs after parsing and throws Error on failure.
  std::function<void()> (*add)(CLI::App& app);
};

// Defined one per file, listed in commands.cpp in the order of the help page.
std::function<void()> AddAblate(CLI::App& app);
std::function<void()> AddAudit(CLI::App& app);
std::function<void()> AddCapture(CLI::App& app);
std::function<void()> AddAttention(CLI::App& app);
std::function<void()> AddBench(CLI::App& app);
std::function<void()> AddChat(CLI::App& app);
std::function<void()> AddConvert(CLI::App& app);
std::function<void()> AddDemo(CLI::App& app);
std::function<void()> AddEmbeddings(CLI::App& app);
std::function<void()> AddEval(CLI::App& app);
std::function<void()> AddExplain(CLI::App& app);
std::function<void()> AddDiff(CLI::App& app);
std::function<void()> AddImport(CLI::App& app);
std::function<void()> AddFigure(CLI::App& app);
std::function<void()> AddInspect(CLI::App& app);
std::function<void()> AddQuery(CLI::App& app);
std::function<void()> AddRun(CLI::App& app);
std::function<void()> AddTrace(CLI::App& app);
std::function<void()> AddRoute(CLI::App& app);
std::function<void()> AddReport(CLI::App& app);
std::function<void()> AddSimulate(CLI::App& app);
std::function<void()> AddVerify(CLI::App& app);

}  // namespace moescope::cli
