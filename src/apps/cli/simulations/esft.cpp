// simulate esft: the experts that expert-specialised fine-tuning would train for the run's text.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/cli/simulations/simulation.h"
#include "study/figures/esft_figure.h"
#include "study/simulate/esft.h"

namespace moescope::cli {
namespace {

struct EsftArguments {
  std::string score = "token", dataset;
  double share = 0;  // 0: the paper's
};

// The paper's shares.
constexpr double kTokenShare = 0.2, kGateShare = 0.1;

}  // namespace

FigureFunction AddSimulateEsft(CLI::App& app) {
  auto arguments = std::make_shared<EsftArguments>();
  app.add_option("--score", arguments->score, "token: share of choices; gate: mean routing weight")
      ->check(CLI::IsMember({"token", "gate"}))
      ->capture_default_str();
  const CLI::Option* share = app.add_option(
      "-p", arguments->share, "Cumulative score to reach (default 0.2 for token, 0.1 for gate)");
  app.add_option("--dataset", arguments->dataset, "Only this data set");
  return [arguments, share](FigureSession& session) -> Figure {
    const auto score =
        arguments->score == "token" ? study::EsftScore::kToken : study::EsftScore::kGate;
    const double paper_share = score == study::EsftScore::kToken ? kTokenShare : kGateShare;
    const double wanted = share->count() > 0 ? arguments->share : paper_share;
    const auto numbers = session.options.layers.empty() ? session.AllLayers() : session.Layers();
    const auto layers = study::EsftSelection(session.run, *session.database, session.rows, numbers,
                                             arguments->dataset, score, wanted);
    Figure figure = {study::EsftFigure(layers, score, wanted),
                     study::EsftText(layers, score, wanted, session.style)};
    figure.json = study::EsftConfigJson(layers);
    return figure;
  };
}

}  // namespace moescope::cli
