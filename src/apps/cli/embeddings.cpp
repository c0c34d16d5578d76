// moescope embeddings: how much of its token, and of the next one, is in a hidden state, by layer.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/figures/figure.h"
#include "apps/cli/text_options.h"
#include "lab/measure_embeddings.h"
#include "store/parquet_documents.h"
#include "study/figures/embeddings_figure.h"

namespace moescope::cli {
namespace {

struct EmbeddingsOptions {
  std::shared_ptr<TextOptions> text;
  std::string layers;
  int64_t wave_tokens = 0;
  study::BootstrapOptions bootstrap;
  bool json = false, csv = false;
};

void AddUnit(const lab::SimilaritySums& sums, int64_t unit, const lab::TextUnit& counts,
             const study::EmbeddingColumns& columns, std::vector<double>& out) {
  for (int layer = 0; layer < columns.n_layers; ++layer) {
    for (lab::StreamSite site : {lab::StreamSite::kAfterAttention, lab::StreamSite::kAfterMoe}) {
      // In the order of EmbeddingColumns::Kind.
      for (lab::Likeness likeness : {lab::Likeness::kInput, lab::Likeness::kInputNull,
                                     lab::Likeness::kOutput, lab::Likeness::kOutputNull}) {
        out.push_back(sums.Of(unit, layer, site, likeness));
      }
    }
  }
  out.push_back(static_cast<double>(counts.n_tokens));
  out.push_back(static_cast<double>(counts.n_pairs));
  out.push_back(sums.OfPredicted(unit));
}

// Units that have tokens, by data set.
std::vector<study::EmbeddingDataset> DatasetsOf(const lab::EmbeddingMeasurement& measured) {
  const study::EmbeddingColumns columns{measured.description.n_layers};
  std::vector<study::EmbeddingDataset> datasets;
  for (size_t i = 0; i < measured.units.size(); ++i) {
    const lab::TextUnit& unit = measured.units[i];
    if (unit.n_tokens == 0) continue;
    if (datasets.empty() || datasets.back().name != unit.dataset) {
      datasets.push_back({.name = unit.dataset,
                          .unit_by = measured.description.UnitBy(unit.dataset),
                          .n_units = 0,
                          .sums = {}});
    }
    AddUnit(measured.sums, static_cast<int64_t>(i), unit, columns, datasets.back().sums);
    ++datasets.back().n_units;
  }
  return datasets;
}

study::Statement StatementOf(const lab::EmbeddingMeasurement& measured,
                             const study::BootstrapOptions& bootstrap) {
  study::Statement statement;
  statement.complete = true;
  statement.description = measured.description;
  statement.documents = measured.n_documents;
  statement.tokens = measured.n_rows;
  for (const lab::TextUnit& unit : measured.units) {
    statement.plain_tokens += unit.n_tokens;
    statement.units += unit.n_tokens > 0;
  }
  statement.seed = bootstrap.seed;
  statement.bootstrap_samples = bootstrap.n_samples;
  return statement;
}

void RunEmbeddings(const EmbeddingsOptions& options) {
  const TextOptions& text = *options.text;
  const lab::TextModel opened = lab::OpenTextModel(text.model, lab::SweepModel(text.MemoryBytes()));
  const int n_layers = opened.model->config().n_layers;
  std::vector<int> all_layers;
  for (int layer = 0; layer < n_layers; ++layer) all_layers.push_back(layer);
  const std::vector<int> layers = study::ParseLayers(options.layers, all_layers);
  const lab::EmbeddingMeasurement measured =
      lab::MeasureEmbeddings(opened,
                             {.data = text.Data(),
                              .policy = text.Policy(),
                              .raw = text.raw,
                              .n_threads = text.n_threads,
                              .memory_bytes = text.MemoryBytes(),
                              .wave_tokens = options.wave_tokens,
                              .seed = options.bootstrap.seed,
                              .precision = text.Precision()},
                             store::MakeParquetOpener());
  ThreadPool pool(text.n_threads);
  std::vector<study::EmbeddingRow> rows =
      study::EmbeddingTable(DatasetsOf(measured), n_layers, options.bootstrap, pool);
  std::erase_if(rows, [&](const study::EmbeddingRow& row) {
    return std::find(layers.begin(), layers.end(), row.layer) == layers.end();
  });
  const study::Statement statement = StatementOf(measured, options.bootstrap);
  if (options.json) {
    PrintText(study::FigureJson(study::EmbeddingsFigure(rows), statement));
  } else if (options.csv) {
    PrintText(study::FigureCsv(study::EmbeddingsFigure(rows)));
  } else {
    PrintText(study::EmbeddingsText(rows, measured.description.is_dense()) + "\n" +
              study::StatementText(statement, StyleOf("never")));
  }
}

}  // namespace

std::function<void()> AddEmbeddings(CLI::App& app) {
  auto options = std::make_shared<EmbeddingsOptions>();
  options->text = AddTextOptions(app);
  app.add_option("--layers", options->layers, "Layers: 0,3 or all; default first, middle and last");
  app.add_option("--samples", options->bootstrap.n_samples, "Bootstrap resamples")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("-s,--seed", options->bootstrap.seed, "Seed of resamples and of the nulls' tokens")
      ->capture_default_str();
  app.add_option("--wave-tokens", options->wave_tokens,
                 "tokens of a wave at most (default: what memory allows)")
      ->check(CLI::PositiveNumber);
  auto* json = app.add_flag("--json", options->json, "Rows and statement as JSON");
  app.add_flag("--csv", options->csv, "Rows as CSV")->excludes(json);
  return [options] { RunEmbeddings(*options); };
}

}  // namespace moescope::cli
