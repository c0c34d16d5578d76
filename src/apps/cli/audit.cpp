// moescope audit: which experts matter, by published criteria and by removing them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <limits>
#include <memory>

#include "apps/cli/ablation_result.h"
#include "apps/cli/command.h"
#include "apps/cli/figures/figure.h"
#include "apps/cli/text_options.h"
#include "base/units.h"
#include "lab/ablate.h"
#include "lab/expert_audit.h"
#include "lab/intervention_probe.h"
#include "store/parquet_documents.h"
#include "study/analysis/super_experts.h"
#include "study/figures/audit_figure.h"

namespace moescope::cli {
namespace {

using routing::Intervention;
using routing::InterventionMode;

struct AuditCommand {
  std::shared_ptr<TextOptions> text;
  std::string effects = "super", mode = "zero", colour = "auto";
  int64_t wave_tokens = 0;
  study::BootstrapOptions bootstrap;
  bool json = false, csv = false;
};

double Share(double part, double of) {
  return of > 0 ? part / of : std::numeric_limits<double>::quiet_NaN();
}

std::string TokenText(const text::Tokenizer& tokenizer, const lab::AuditPlace& place) {
  return place.token_id < 0 ? "" : tokenizer.TokenText(place.token_id);
}

// One run of the command: criteria, then effects, then what both say.
class Auditor {
 public:
  explicit Auditor(const AuditCommand& options)
      : options_(options),
        text_(*options.text),
        opened_(lab::OpenTextModel(text_.model, lab::SweepModel(text_.MemoryBytes()))),
        routed_(lab::RoutedModelOf(*opened_.model)),
        pool_(text_.n_threads) {}

  void Run() {
    audit_ = lab::AuditExperts(opened_,
                               {.data = text_.Data(),
                                .policy = text_.Policy(),
                                .raw = text_.raw,
                                .n_threads = text_.n_threads,
                                .memory_bytes = text_.MemoryBytes(),
                                .wave_tokens = options_.wave_tokens,
                                .precision = text_.Precision()},
                               store::MakeParquetOpener());
    TakeCriteria();
    if (options_.effects == "all") MeasureAll();
    if (options_.effects != "none") MeasureSuperExperts();
    Print();
  }

 private:
  void TakeCriteria() {
    std::vector<study::OutputPeak> peaks;
    for (int layer = 0; layer < audit_.n_layers; ++layer) {
      const lab::LayerAudit& of_layer = audit_.layers[static_cast<size_t>(layer)];
      double assignments = 0;
      for (int expert = 0; expert < audit_.n_experts; ++expert) {
        assignments += static_cast<double>(audit_.Of(layer, expert).n_assignments);
      }
      for (int expert = 0; expert < audit_.n_experts; ++expert) {
        const lab::ExpertAudit& of = audit_.Of(layer, expert);
        const auto n = static_cast<double>(of.n_assignments);
        study::AuditRow& row = table_.rows.emplace_back();
        row.layer = layer;
        row.expert = expert;
        row.assignments = of.n_assignments;
        row.share = Share(n, assignments);
        row.mean_weight = Share(of.weight_sum, n);
        row.reap = n > 0 ? of.weighted_norm_sum / n : 0;
        row.reconstruction = of.reconstruction;
        row.reconstruction_share = Share(of.reconstruction, of_layer.output_norm);
        row.skip_share =
            Share(static_cast<double>(of.n_skipped), static_cast<double>(of.n_last_choices));
        row.output_peak = of.output_peak;
        row.peak_at = {TokenText(*opened_.tokenizer, of.peak_place), of.peak_place.position};
        peaks_.push_back({layer, expert, of.output_peak, of.peak_place.row});
      }
      table_.layers.push_back(
          {layer,
           of_layer.skip_beta,
           of_layer.residual_peak,
           of_layer.peak_median,
           of_layer.peak_dim,
           {TokenText(*opened_.tokenizer, of_layer.peak_place), of_layer.peak_place.position}});
      residuals_.push_back({of_layer.residual_peak, of_layer.peak_median, of_layer.peak_place.row});
    }
    table_.super_experts = study::FindSuperExperts(peaks_, residuals_);
    for (const study::SuperExpert& expert : table_.super_experts) {
      table_.rows[At(expert.layer, expert.expert)].flagged = true;
    }
  }

  lab::Ablation Measure(const std::vector<Intervention>& branches) const {
    return lab::Ablate(opened_, branches,
                       {.data = text_.Data(),
                        .policy = text_.Policy(),
                        .raw = text_.raw,
                        .n_threads = text_.n_threads,
                        .memory_bytes = text_.MemoryBytes(),
                        .wave_tokens = options_.wave_tokens,
                        .precision = text_.Precision()},
                       store::MakeParquetOpener());
  }

  std::vector<Intervention> CellsIn(const std::string& mode, std::span<const size_t> cells) const {
    std::vector<Intervention> branches;
    for (size_t cell : cells) {
      const study::OutputPeak& at = peaks_[cell];
      branches.push_back(routing::ParseIntervention(
          fmt::format("{}@{}:{}", mode, at.layer, at.expert), routed_, "--mode"));
    }
    return branches;
  }

  void MeasureAll() {
    std::vector<size_t> cells;
    for (size_t i = 0; i < peaks_.size(); ++i) cells.push_back(i);
    const lab::Ablation ablation = Measure(CellsIn(options_.mode, cells));
    const std::vector<study::AblationDataset> datasets = DatasetsOf(ablation);
    for (const study::AblationRow& row :
         study::AblationTable(datasets, ablation.n_branches, options_.bootstrap, pool_)) {
      if (!row.dataset.empty()) continue;
      study::AuditRow& of = table_.rows[static_cast<size_t>(row.branch)];
      of.effect = row.effect;
      of.effect_interval = row.interval;
    }
    table_.mode = options_.mode;
    table_.correlations = study::CorrelateCriteria(study::CriteriaOf(table_.rows), datasets,
                                                   static_cast<int>(cells.size()), audit_.n_layers,
                                                   options_.bootstrap, pool_);
  }

  // `zero` on each flagged expert and on random others, unless all were measured in that mode.
  void MeasureSuperExperts() {
    if (table_.super_experts.empty()) return;
    std::vector<size_t> cells = study::RandomCells(peaks_, table_.super_experts,
                                                   study::kRandomCells, options_.bootstrap.seed);
    const size_t n_random = cells.size();
    for (const study::SuperExpert& expert : table_.super_experts) {
      cells.push_back(At(expert.layer, expert.expert));
    }
    std::vector<double> effects;
    if (table_.mode == "zero") {
      for (size_t cell : cells) effects.push_back(*table_.rows[cell].effect);
    } else {
      const lab::Ablation ablation = Measure(CellsIn("zero", cells));
      for (const study::AblationRow& row : study::AblationTable(
               DatasetsOf(ablation), ablation.n_branches, {.n_samples = 0}, pool_)) {
        if (row.dataset.empty()) effects.push_back(row.effect);
      }
    }
    for (size_t i = 0; i < table_.super_experts.size(); ++i) {
      study::JudgeEffects(effects[n_random + i], std::span(effects).first(n_random),
                          table_.super_experts[i]);
    }
  }

  void Print() const {
    study::Statement statement;
    statement.complete = true;
    statement.description = audit_.description;
    statement.documents = audit_.n_documents;
    statement.tokens = audit_.n_rows;
    statement.plain_tokens = audit_.n_plain;
    statement.units = audit_.n_units;
    statement.seed = options_.bootstrap.seed;
    statement.bootstrap_samples = options_.effects == "all" ? options_.bootstrap.n_samples : 0;
    const study::FigureTable table = study::AuditFigure(table_);
    if (options_.json) {
      PrintText(study::FigureJson(table, statement));
    } else if (options_.csv) {
      PrintText(study::FigureCsv(table));
    } else {
      PrintText(study::AuditText(table_) + "\n" +
                study::StatementText(statement, StyleOf(options_.colour)));
    }
  }

  size_t At(int layer, int expert) const {
    return static_cast<size_t>(layer * audit_.n_experts + expert);
  }

  const AuditCommand& options_;
  const TextOptions& text_;
  const lab::TextModel opened_;
  const routing::RoutedModel routed_;
  ThreadPool pool_;
  lab::Audit audit_;
  study::AuditTable table_;
  std::vector<study::OutputPeak> peaks_;  // [n_layers, n_experts]
  std::vector<study::ResidualPeak> residuals_;
};

}  // namespace

std::function<void()> AddAudit(CLI::App& app) {
  auto options = std::make_shared<AuditCommand>();
  options->text = AddTextOptions(app);
  app.add_option("--effects", options->effects,
                 "what to remove and measure: all experts one by one, super experts that the "
                 "published rule flags (with 20 random others), none")
      ->check(CLI::IsMember({"all", "super", "none"}))
      ->capture_default_str();
  app.add_option("--mode", options->mode, "how, of --effects all")
      ->check(CLI::IsMember({"mask", "zero", "drop"}))
      ->capture_default_str();
  app.add_option("--samples", options->bootstrap.n_samples, "Bootstrap resamples")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("-s,--seed", options->bootstrap.seed, "Seed of resamples and random experts")
      ->capture_default_str();
  app.add_option("--wave-tokens", options->wave_tokens,
                 "rows of a wave at most (default: what memory allows)")
      ->check(CLI::PositiveNumber);
  app.add_option("--color,--colour", options->colour,
                 "auto, always or never; NO_COLOR is respected")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  auto* json = app.add_flag("--json", options->json, "Rows and statement as JSON");
  app.add_flag("--csv", options->csv, "Rows as CSV")->excludes(json);
  return [options] { Auditor(*options).Run(); };
}

}  // namespace moescope::cli
