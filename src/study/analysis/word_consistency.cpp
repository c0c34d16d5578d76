#include "study/analysis/word_consistency.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/iid_null.h"
#include "study/analysis/token_classes.h"
#include "study/analysis/token_first_choices.h"

namespace moescope::study {
namespace {

double Share(double part, double whole) {
  return whole > 0 ? part / whole : std::nan("");
}

int FirstChoice(const LayerColumns& layer, int64_t row) {
  return layer.experts[row * layer.experts_per_token];
}

bool HasAllChoices(const LayerColumns& layer, const WordRange& word) {
  for (int64_t row = word.first_row; row < word.first_row + word.n_rows; ++row) {
    if (FirstChoice(layer, row) < 0) return false;
  }
  return true;
}

bool IsAlike(const LayerColumns& layer, const WordRange& word) {
  for (int64_t row = word.first_row + 1; row < word.first_row + word.n_rows; ++row) {
    if (FirstChoice(layer, row) != FirstChoice(layer, word.first_row)) return false;
  }
  return true;
}

std::span<const int32_t> TokensOf(const RowColumns& rows, const WordRange& word) {
  return std::span(rows.token_id).subspan(word.first_row, word.n_rows);
}

// What both shuffles hold fixed: which experts stand at which place of how many words.
struct PieceCounts {
  std::map<int32_t, int64_t> words_of_length;
  std::vector<std::vector<int64_t>> by_place;  // [place][expert]
  std::vector<int64_t> of_place;               // [place]

  void Add(const LayerColumns& layer, const WordRange& word) {
    ++words_of_length[word.n_rows];
    if (by_place.size() < static_cast<size_t>(word.n_rows)) {
      by_place.resize(word.n_rows, std::vector<int64_t>(layer.n_experts));
      of_place.resize(word.n_rows);
    }
    for (int32_t place = 0; place < word.n_rows; ++place) {
      ++by_place[place][FirstChoice(layer, word.first_row + place)];
      ++of_place[place];
    }
  }

  // Expected number of words alike when pieces keep their place: independent over places.
  double AlikeWithinPlaces() const {
    double alike = 0;
    for (size_t expert = 0; !by_place.empty() && expert < by_place[0].size(); ++expert) {
      double all = 1;
      int32_t place = 0;
      for (const auto& [length, n_words] : words_of_length) {
        for (; place < length; ++place) {
          all *=
              static_cast<double>(by_place[place][expert]) / static_cast<double>(of_place[place]);
        }
        alike += all * static_cast<double>(n_words);
      }
    }
    return alike;
  }

  // The same when any piece may go to any place: draws without replacement from all pieces.
  double AlikeAmongAll() const {
    double alike = 0, n_pieces = 0;
    for (int64_t n : of_place) n_pieces += static_cast<double>(n);
    for (size_t expert = 0; !by_place.empty() && expert < by_place[0].size(); ++expert) {
      double of_expert = 0, all = 1;
      for (const auto& counts : by_place) of_expert += static_cast<double>(counts[expert]);
      int32_t drawn = 0;
      for (const auto& [length, n_words] : words_of_length) {
        for (; drawn < length; ++drawn) {
          all *= std::max(0.0, of_expert - drawn) / (n_pieces - drawn);
        }
        alike += all * static_cast<double>(n_words);
      }
    }
    return alike;
  }
};

// Numerator and denominator of each unit of a data set.
class UnitSums {
 public:
  explicit UnitSums(const DatasetInfo& info) : info_(info), sums_(info.units.size() * 2) {
    for (size_t u = 0; u < info.units.size(); ++u) place_[info.units[u]] = u;
  }
  void Add(int32_t unit, double numerator, double denominator) {
    const size_t place = place_.at(unit);
    sums_[place * 2] += numerator;
    sums_[place * 2 + 1] += denominator;
  }
  // Units that have nothing to count are no units of this statistic.
  int64_t DropEmpty() {
    std::vector<double> kept;
    for (size_t i = 0; i < sums_.size(); i += 2) {
      if (sums_[i + 1] > 0) kept.insert(kept.end(), {sums_[i], sums_[i + 1]});
    }
    sums_ = std::move(kept);
    return static_cast<int64_t>(sums_.size()) / 2;
  }
  std::optional<Interval> IntervalOfRatio(const BootstrapOptions& options, ThreadPool& pool) const {
    const Ratio ratio = {0, 1};
    const auto intervals =
        BootstrapRatios(sums_, 2, std::span(&ratio, 1), KeyOfName(info_.name), options, pool);
    return intervals.empty() ? std::nullopt : std::optional(intervals[0]);
  }

 private:
  const DatasetInfo& info_;
  std::map<int32_t, size_t> place_;
  std::vector<double> sums_;
};

WordCell CellOf(const RowColumns& rows, const DatasetInfo& info, const LayerColumns& layer,
                const WordPieces& pieces, const BootstrapOptions& options, ThreadPool& pool) {
  WordCell cell;
  cell.dataset = info.name;
  cell.layer = layer.layer;
  PieceCounts counts;
  UnitSums units(info);
  TokenFirstChoices elsewhere(rows, info, layer);
  double covered = 0, covered_alike = 0, expected_alike = 0;
  for (int32_t d : info.documents) {
    const DocumentRange& document = rows.documents[d];
    elsewhere.TakeOut(document);
    for (const WordRange& word : pieces.WordsOf(rows, document)) {
      if (word.n_rows < 2 || !HasAllChoices(layer, word)) continue;
      const bool alike = IsAlike(layer, word);
      ++cell.words;
      cell.pieces += word.n_rows;
      cell.alike_words += alike;
      counts.Add(layer, word);
      units.Add(document.unit, alike, 1);
      const double expected = elsewhere.AllAlike(TokensOf(rows, word));
      if (std::isnan(expected)) continue;
      covered += 1;
      covered_alike += alike;
      expected_alike += expected;
    }
    elsewhere.PutBack(document);
  }
  const double words = static_cast<double>(cell.words);
  cell.alike = Share(static_cast<double>(cell.alike_words), words);
  cell.pieces_null = Share(counts.AlikeAmongAll(), words);
  cell.places_null = Share(counts.AlikeWithinPlaces(), words);
  cell.token_null = Share(expected_alike, covered);
  cell.token_coverage = Share(covered, words);
  cell.alike_token_covered = Share(covered_alike, covered);
  cell.n_units = units.DropEmpty();
  cell.why_no_interval = WhyNoInterval(cell.n_units, info.unit_by);
  cell.interval = units.IntervalOfRatio(options, pool);
  return cell;
}

struct Occurrence {
  WordRange word;
  int32_t document = 0;
};

std::vector<Occurrence> FindWord(const RowColumns& rows, const DatasetInfo& info,
                                 const LayerColumns& layer, const WordPieces& pieces,
                                 const std::string& text) {
  std::vector<Occurrence> found;
  for (int32_t d : info.documents) {
    for (const WordRange& word : pieces.WordsOf(rows, rows.documents[d])) {
      if (HasAllChoices(layer, word) && pieces.Text(rows, word) == text) found.push_back({word, d});
    }
  }
  return found;
}

// The token nulls of a word at its expert, on the occurrences that have them.
void AddTokenNulls(const RowColumns& rows, const LayerColumns& layer,
                   const std::vector<Occurrence>& found, TokenFirstChoices& elsewhere,
                   WordExpertCell& cell) {
  double covered = 0, pieces = 0, hits = 0, expected_hits = 0, alike = 0, expected_alike = 0;
  for (size_t i = 0; i < found.size();) {
    const DocumentRange& document = rows.documents[found[i].document];
    elsewhere.TakeOut(document);
    for (const int32_t d = found[i].document; i < found.size() && found[i].document == d; ++i) {
      const WordRange& word = found[i].word;
      const double all = elsewhere.AllAlike(TokensOf(rows, word));
      if (std::isnan(all)) continue;
      covered += 1;
      alike += IsAlike(layer, word);
      expected_alike += all;
      for (int64_t row = word.first_row; row < word.first_row + word.n_rows; ++row) {
        const int32_t token = rows.token_id[row];
        pieces += 1;
        hits += FirstChoice(layer, row) == cell.expert;
        expected_hits += static_cast<double>(elsewhere.Counts(token)[cell.expert]) /
                         static_cast<double>(elsewhere.Total(token));
      }
    }
    elsewhere.PutBack(document);
  }
  cell.token_coverage = Share(covered, static_cast<double>(found.size()));
  cell.token_share = Share(expected_hits, pieces);
  cell.share_token_covered = Share(hits, pieces);
  cell.alike_token_null = Share(expected_alike, covered);
  cell.alike_token_covered = Share(alike, covered);
}

std::vector<int16_t> FirstChoicesOf(const RowColumns& rows, const DatasetInfo& info,
                                    const LayerColumns& layer) {
  std::vector<int16_t> first;
  for (int32_t d : info.documents) {
    const DocumentRange& document = rows.documents[d];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int expert = FirstChoice(layer, row);
      if (expert >= 0) first.push_back(static_cast<int16_t>(expert));
    }
  }
  return first;
}

WordExpertCell ExpertCellOf(const RowColumns& rows, const DatasetInfo& info,
                            const LayerColumns& layer, const std::string& text,
                            const std::vector<Occurrence>& found, TokenFirstChoices& elsewhere,
                            const BootstrapOptions& options, ThreadPool& pool) {
  WordExpertCell cell;
  cell.word = text;
  cell.dataset = info.name;
  cell.layer = layer.layer;
  cell.occurrences = static_cast<int64_t>(found.size());
  std::vector<int64_t> counts(layer.n_experts);
  int64_t alike = 0;
  for (const Occurrence& occurrence : found) {
    const WordRange& word = occurrence.word;
    cell.pieces += word.n_rows;
    alike += IsAlike(layer, word);
    for (int32_t i = 0; i < word.n_rows; ++i) ++counts[FirstChoice(layer, word.first_row + i)];
  }
  const auto largest = std::max_element(counts.begin(), counts.end());
  cell.expert = static_cast<int>(largest - counts.begin());
  cell.share = Share(static_cast<double>(*largest), static_cast<double>(cell.pieces));
  cell.alike = Share(static_cast<double>(alike), static_cast<double>(cell.occurrences));
  const uint64_t key = Combine(Combine(options.seed, KeyOfName(info.name)), KeyOfName(text));
  cell.iid_share = ExpectedMaxShare(FirstChoicesOf(rows, info, layer), 1, layer.n_experts,
                                    cell.pieces, Combine(key, layer.layer));
  AddTokenNulls(rows, layer, found, elsewhere, cell);
  UnitSums units(info);
  for (const Occurrence& occurrence : found) {
    const WordRange& word = occurrence.word;
    int hits = 0;
    for (int32_t i = 0; i < word.n_rows; ++i) {
      hits += FirstChoice(layer, word.first_row + i) == cell.expert;
    }
    units.Add(rows.documents[occurrence.document].unit, hits, word.n_rows);
  }
  cell.n_units = units.DropEmpty();
  cell.why_no_interval = WhyNoInterval(cell.n_units, info.unit_by);
  cell.interval = units.IntervalOfRatio(options, pool);
  return cell;
}

WordPieces LoadPieces(const store::Run& run, store::Database& database, const RowColumns& rows) {
  RequireRoutes(run);
  for (size_t d = 0; d < rows.datasets.size(); ++d) {
    if (rows.HasTokenIds(static_cast<int>(d))) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} has no token ids for data set {}, so words cannot be put together",
                            run.directory(), rows.datasets[d].name));
  }
  return WordPieces(LoadVocabularyBytes(database));
}

}  // namespace

std::vector<WordCell> ComputeWordConsistency(const RowColumns& rows, const LayerColumns& layer,
                                             const WordPieces& pieces,
                                             const BootstrapOptions& options, ThreadPool& pool) {
  std::vector<WordCell> cells;
  for (const DatasetInfo& info : rows.datasets) {
    cells.push_back(CellOf(rows, info, layer, pieces, options, pool));
  }
  return cells;
}

std::vector<WordExpertCell> ComputeWordExperts(const RowColumns& rows, const LayerColumns& layer,
                                               const WordPieces& pieces,
                                               const std::vector<std::string>& words,
                                               const BootstrapOptions& options, ThreadPool& pool) {
  std::vector<WordExpertCell> cells;
  for (const std::string& word : words) {
    for (const DatasetInfo& info : rows.datasets) {
      const auto found = FindWord(rows, info, layer, pieces, word);
      if (found.empty()) continue;
      TokenFirstChoices elsewhere(rows, info, layer);
      cells.push_back(ExpertCellOf(rows, info, layer, word, found, elsewhere, options, pool));
    }
  }
  return cells;
}

std::vector<WordCell> WordTable(const store::Run& run, store::Database& database,
                                const RowColumns& rows, const std::vector<int>& layers,
                                const BootstrapOptions& options, ThreadPool& pool) {
  const WordPieces pieces = LoadPieces(run, database, rows);
  return LayerTable("words", run, database, rows, layers, [&](const LayerColumns& layer) {
    return ComputeWordConsistency(rows, layer, pieces, options, pool);
  });
}

std::vector<WordExpertCell> WordExpertTable(const store::Run& run, store::Database& database,
                                            const RowColumns& rows, const std::vector<int>& layers,
                                            const std::vector<std::string>& words,
                                            const BootstrapOptions& options, ThreadPool& pool) {
  const WordPieces pieces = LoadPieces(run, database, rows);
  std::vector<WordExpertCell> cells =
      LayerTable("words", run, database, rows, layers, [&](const LayerColumns& layer) {
        return ComputeWordExperts(rows, layer, pieces, words, options, pool);
      });
  for (const std::string& word : words) {
    if (std::any_of(cells.begin(), cells.end(),
                    [&](const WordExpertCell& cell) { return cell.word == word; })) {
      continue;
    }
    throw Error(ErrorKind::kNotFound,
                fmt::format("--words {}: {} has no such word; a word is letters only, written as "
                            "in the text",
                            word, run.directory()));
  }
  return cells;
}

}  // namespace moescope::study
