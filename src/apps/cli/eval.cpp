// moescope eval WHAT: what a model can do, with its routing as it is or changed.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/evaluations/evaluation.h"

namespace moescope::cli {
namespace {

// The table of evaluations, in the order of the help page.
constexpr Evaluation kEvaluations[] = {
    {"perplexity", "How well text is predicted, by windows or by length of context",
     AddEvalPerplexity},
    {"choice", "Questions with given answers, by likelihood: MMLU, HellaSwag, ARC, ...",
     AddEvalChoice},
    {"answers", "Questions answered by writing: GSM8K, once or by majority", AddEvalAnswers},
    {"passkey", "A key in a long text, by length and depth, with controls", AddEvalPasskey},
    {"make-cloze", "Make a task with choices out of any text", AddEvalMakeCloze},
};

}  // namespace

std::function<void()> AddEval(CLI::App& app) {
  auto chosen = std::make_shared<std::function<void()>>();
  app.require_subcommand(1);
  for (const Evaluation& evaluation : kEvaluations) {
    CLI::App* sub = app.add_subcommand(evaluation.name, evaluation.summary);
    std::function<void()> run = evaluation.add(*sub);
    sub->callback([chosen, run] { *chosen = run; });
  }
  return [chosen] { (*chosen)(); };
}

}  // namespace moescope::cli
