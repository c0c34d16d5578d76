#include "study/analysis/expert_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/expert_shares.h"
#include "study/analysis/layer_reals.h"
#include "study/analysis/row_pairs.h"
#include "study/analysis/token_classes.h"

namespace moescope::study {
namespace {

// A row that chose the expert.
struct Choice {
  int32_t row = 0, document = 0;
  int slot = 0;
  float weight = 0;
};

std::vector<Choice> ChoicesOf(const RowColumns& rows, const LayerColumns& layer,
                              const std::vector<float>& weights, int expert) {
  std::vector<Choice> choices;
  const int n_slots = layer.experts_per_token;
  for (size_t d = 0; d < rows.documents.size(); ++d) {
    const DocumentRange& document = rows.documents[d];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      for (int slot = 0; slot < n_slots; ++slot) {
        if (layer.experts[row * n_slots + slot] != expert) continue;
        const float weight = weights[row * n_slots + slot];
        choices.push_back({static_cast<int32_t>(row), static_cast<int32_t>(d), slot, weight});
        break;
      }
    }
  }
  return choices;
}

// `n` of them, each as likely: those with the smallest scattered row number.
std::vector<Choice> DrawRandom(std::vector<Choice> choices, int n, uint64_t key) {
  const auto place = [&](const Choice& choice) { return Combine(key, choice.row); };
  const size_t n_kept = std::min<size_t>(n, choices.size());
  std::partial_sort(choices.begin(), choices.begin() + static_cast<int64_t>(n_kept), choices.end(),
                    [&](const Choice& a, const Choice& b) { return place(a) < place(b); });
  choices.resize(n_kept);
  return choices;
}

// Largest weight first, at most one a document, so that one text does not fill the card.
std::vector<Choice> TopByWeight(const std::vector<Choice>& choices, int n) {
  std::vector<Choice> best;  // of each document
  for (const Choice& choice : choices) {
    if (std::isnan(choice.weight)) continue;
    if (best.empty() || best.back().document != choice.document) {
      best.push_back(choice);
    } else if (choice.weight > best.back().weight) {
      best.back() = choice;
    }
  }
  std::stable_sort(best.begin(), best.end(),
                   [](const Choice& a, const Choice& b) { return a.weight > b.weight; });
  if (static_cast<int>(best.size()) > n) best.resize(n);
  return best;
}

ExpertContext MakeContext(const RowColumns& rows, const std::vector<std::string>& vocabulary,
                          const Choice& choice, ContextKind kind, int n_around) {
  const DocumentRange& document = rows.documents[choice.document];
  ExpertContext context;
  context.kind = kind;
  context.row = choice.row;
  context.document = document.document;
  context.dataset = rows.datasets[document.dataset].name;
  context.unit = rows.units[document.unit].name;
  context.position = rows.position[choice.row];
  context.choice = choice.slot;
  context.weight = double{choice.weight};
  const int64_t begin = std::max<int64_t>(document.first_row, choice.row - n_around);
  const int64_t end =
      std::min<int64_t>(document.first_row + document.n_rows, int64_t{choice.row} + n_around + 1);
  context.at = static_cast<int>(choice.row - begin);
  for (int64_t row = begin; row < end; ++row) {
    const int32_t id = rows.token_id[row];
    const bool known = id >= 0 && static_cast<size_t>(id) < vocabulary.size();
    context.bytes.push_back(known ? vocabulary[id] : std::string());
  }
  return context;
}

std::vector<ExpertDataset> DatasetsOf(const RowColumns& rows, const LayerColumns& layer, int expert,
                                      const BootstrapOptions& bootstrap, ThreadPool& pool) {
  SharesOptions options;
  options.bootstrap = bootstrap;
  std::vector<ExpertDataset> datasets;
  double sum = 0;
  for (const ExpertShare& share : ComputeExpertShares(rows, layer, options, pool)) {
    if (share.expert != expert) continue;
    datasets.push_back({share.dataset,
                        share.count,
                        share.rows,
                        share.share,
                        0,
                        share.interval,
                        {},
                        share.n_units,
                        share.why_no_interval});
    if (std::isfinite(share.share)) sum += share.share;
  }
  const double mean = sum / static_cast<double>(datasets.size());
  for (ExpertDataset& dataset : datasets) {
    dataset.lift = mean > 0 ? dataset.share / mean : std::nan("");
    if (!dataset.share_interval || !(mean > 0)) continue;
    dataset.lift_interval =
        Interval{dataset.share_interval->low / mean, dataset.share_interval->high / mean};
  }
  return datasets;
}

bool Includes(const LayerColumns& layer, int64_t row, int expert) {
  const int16_t* begin = layer.experts.data() + row * layer.experts_per_token;
  return std::find(begin, begin + layer.experts_per_token, expert) !=
         begin + layer.experts_per_token;
}

void CountRow(const LayerColumns& layer, int64_t row, std::vector<int64_t>& counts) {
  const int16_t* expert = layer.experts.data() + row * layer.experts_per_token;
  for (int slot = 0; slot < layer.experts_per_token; ++slot) {
    if (expert[slot] >= 0) ++counts[expert[slot]];
  }
}

void AddNeighbours(NeighbourKind kind, int expert, int64_t of, const std::vector<int64_t>& counts,
                   const std::vector<double>& expected, ExpertCard& card) {
  for (size_t e = 0; e < counts.size(); ++e) {
    if (kind == NeighbourKind::kTogether && static_cast<int>(e) == expert) continue;
    ExpertNeighbour neighbour = {kind,         static_cast<int>(e), counts[e],
                                 std::nan(""), expected[e],         std::nan("")};
    if (of > 0) neighbour.of = static_cast<double>(counts[e]) / static_cast<double>(of);
    if (expected[e] > 0) neighbour.ratio = static_cast<double>(counts[e]) / expected[e];
    card.neighbours.push_back(neighbour);
  }
}

// Chosen by the same token. Expected: N_a N_b / N, times what makes a row have K - 1 others:
// (K - 1) N_a N_b / (sum of all N_c but N_a).
void AddCoactivation(const LayerColumns& layer, const std::vector<Choice>& choices,
                     ExpertCard& card, int64_t n_rows) {
  std::vector<int64_t> together(layer.n_experts), all(layer.n_experts);
  for (const Choice& choice : choices) CountRow(layer, choice.row, together);
  for (int64_t row = 0; row < n_rows; ++row) CountRow(layer, row, all);
  int64_t others = 0, others_together = 0;
  for (int e = 0; e < layer.n_experts; ++e) {
    if (e == card.expert) continue;
    others += all[e];
    others_together += together[e];
  }
  std::vector<double> expected(layer.n_experts);
  for (int e = 0; e < layer.n_experts && others > 0; ++e) {
    expected[e] = static_cast<double>(others_together) * static_cast<double>(all[e]) /
                  static_cast<double>(others);
  }
  AddNeighbours(NeighbourKind::kTogether, card.expert, card.rows, together, expected, card);
}

// Chosen by the token before or after. Expected: pairs whose one token chose this expert, times
// how often the other token of any pair chose that one.
void AddPositionNeighbours(const RowColumns& rows, const LayerColumns& layer, ExpertCard& card) {
  struct Side {
    std::vector<int64_t> beside, all;
    int64_t pairs = 0;
  };
  Side before, after;
  for (Side* side : {&before, &after}) {
    side->beside.resize(layer.n_experts);
    side->all.resize(layer.n_experts);
  }
  int64_t n_pairs = 0;
  for (const SequenceRange& sequence : rows.sequences) {
    ForEachPair(rows, sequence, {}, [&](int64_t i, int64_t j) {
      ++n_pairs;
      CountRow(layer, i, before.all);
      CountRow(layer, j, after.all);
      if (Includes(layer, j, card.expert)) {
        ++before.pairs;
        CountRow(layer, i, before.beside);
      }
      if (Includes(layer, i, card.expert)) {
        ++after.pairs;
        CountRow(layer, j, after.beside);
      }
    });
  }
  for (const auto& [kind, side] :
       {std::pair{NeighbourKind::kBefore, &before}, std::pair{NeighbourKind::kAfter, &after}}) {
    std::vector<double> expected(layer.n_experts);
    for (int e = 0; e < layer.n_experts && n_pairs > 0; ++e) {
      expected[e] = static_cast<double>(side->pairs) * static_cast<double>(side->all[e]) /
                    static_cast<double>(n_pairs);
    }
    AddNeighbours(kind, card.expert, side->pairs, side->beside, expected, card);
  }
}

void CheckExpert(const store::Run& run, int layer, int expert) {
  RequireRoutes(run);
  const std::vector<int> layers = run.description().LayerNumbers();
  if (!std::binary_search(layers.begin(), layers.end(), layer)) {
    throw Error(ErrorKind::kBadInput, fmt::format("layer {}: {} has layers {} to {}", layer,
                                                  run.directory(), layers.front(), layers.back()));
  }
  if (expert < 0 || expert >= run.description().n_experts) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("expert {}: {} has experts 0 to {}", expert, run.directory(),
                            run.description().n_experts - 1));
  }
}

}  // namespace

ExpertCard MakeExpertCard(const store::Run& run, store::Database& database, const RowColumns& rows,
                          int layer, int expert, const ExpertCardOptions& options,
                          ThreadPool& pool) {
  CheckExpert(run, layer, expert);
  ExpertCard card;
  card.layer = layer;
  card.expert = expert;
  card.text_rows = rows.n_rows();
  const LayerColumns columns = LoadLayer(run, database, rows, layer);
  std::vector<std::string> names;
  for (int slot = 0; slot < columns.experts_per_token; ++slot) {
    names.push_back(fmt::format("weight_{}", slot));
  }
  const std::vector<Choice> choices =
      ChoicesOf(rows, columns, LoadLayerReals(run, database, rows, layer, names), expert);
  card.rows = static_cast<int64_t>(choices.size());
  double weight = 0;
  for (const Choice& choice : choices) {
    card.first_rows += choice.slot == 0;
    weight += double{choice.weight};
  }
  card.mean_weight = choices.empty() ? std::nan("") : weight / static_cast<double>(card.rows);
  card.datasets = DatasetsOf(rows, columns, expert, options.bootstrap, pool);
  AddCoactivation(columns, choices, card, rows.n_rows());
  AddPositionNeighbours(rows, columns, card);
  if (run.description().vocab_size == 0) return card;

  const std::vector<std::string> vocabulary = LoadVocabularyBytes(database);
  const auto add_contexts = [&](const std::vector<Choice>& chosen, ContextKind kind) {
    for (const Choice& choice : chosen) {
      card.contexts.push_back(MakeContext(rows, vocabulary, choice, kind, options.context_tokens));
    }
  };
  const uint64_t key = Combine(options.bootstrap.seed, KeyOfName("contexts"));
  add_contexts(DrawRandom(choices, options.n_contexts, key), ContextKind::kRandom);
  add_contexts(TopByWeight(choices, options.n_contexts), ContextKind::kTop);
  TokenViewOptions view;
  view.limit = options.n_tokens;
  view.min_count = options.min_count;
  card.by_lift = TokensOfExpert(run, database, layer, expert, ExpertTokenOrder::kLift, view);
  card.by_count = TokensOfExpert(run, database, layer, expert, ExpertTokenOrder::kCount, view);
  return card;
}

}  // namespace moescope::study
