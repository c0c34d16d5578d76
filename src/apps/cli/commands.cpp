// The command table, in the order of the help page: look at a model, run it, look at the run, keep
// house.
#include <span>
#include <vector>

#include "apps/cli/command.h"

namespace moescope::cli {

std::span<const Command> Commands() {
  static const std::vector<Command> commands = {
      {"inspect", "Say what a model is, where its bytes are, what a sweep costs", AddInspect},
      {"trace", "Where every token of a text is routed, into a run", AddTrace},
      {"figure", "Figures and tables of a run, in the terminal", AddFigure},
      {"route", "Which way words go through the layers, and whether two go the same way", AddRoute},
      {"simulate", "What a run's routes would mean for caches, devices, less work", AddSimulate},
      {"diff", "Two runs of the same text: what changed, at which margins", AddDiff},
      {"report", "One HTML page with everything a run tells at first sight", AddReport},
      {"query", "Ask a run a question in SQL", AddQuery},
      {"verify", "Check every byte of a run, or of a model against hashes recorded earlier",
       AddVerify},
      {"run", "Write a text that goes on from a prompt, its routes in colour", AddRun},
      {"chat", "A conversation, through the model's chat template", AddChat},
      {"attention", "What the heads of a model look at in a text", AddAttention},
      {"embeddings", "How much of its token, and of the next one, a hidden state is, by layer",
       AddEmbeddings},
      {"ablate", "What the loss becomes without experts, or with routing changed otherwise",
       AddAblate},
      {"audit", "Which experts matter: what criteria say, beside what removing them costs",
       AddAudit},
      {"eval", "What a model can do: perplexity, tasks with choices, written answers, passkeys",
       AddEval},
      {"capture", "Activations of rows of a run, for other programs", AddCapture},
      {"explain", "One token through one layer, or why it was routed as it was", AddExplain},
      {"bench", "How fast, as a share of what this machine can do", AddBench},
      {"convert", "Write a checkpoint as one GGUF file", AddConvert},
      {"import", "Turn routes that other programs recorded into a run", AddImport},
      {"demo", "The whole tour: trace a folder of data sets, write the report, show what it says",
       AddDemo},
  };
  return commands;
}

}  // namespace moescope::cli
