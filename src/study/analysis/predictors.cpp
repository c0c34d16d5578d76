#include "study/analysis/predictors.h"

#include <algorithm>
#include <bit>
#include <unordered_map>
#include <utility>

#include "base/random.h"

namespace moescope::study {
namespace {

void Shuffle(std::vector<int32_t>& values, Random random) {
  for (size_t left = values.size(); left > 1; --left) {
    std::swap(values[left - 1], values[random.Below(left)]);
  }
}

// Ids numbered by first appearance; an unknown id is a value like any other.
Predictor Tokens(const RowColumns& rows) {
  Predictor token = {"token", 0, {}, {}};
  std::unordered_map<int32_t, int32_t> index;
  token.value.reserve(rows.n_rows());
  for (int32_t id : rows.token_id) {
    const auto [place, is_new] = index.try_emplace(id, token.n_values);
    token.n_values += is_new;
    token.value.push_back(place->second);
  }
  return token;
}

Predictor PreviousTokens(const RowColumns& rows, const Predictor& token) {
  Predictor previous = {"previous token", token.n_values + 1, {}, {}};
  previous.value.resize(rows.n_rows());
  for (const SequenceRange& sequence : rows.sequences) {
    int32_t before = token.n_values;
    for (int64_t row = sequence.first_row; row < sequence.first_row + sequence.n_rows; ++row) {
      previous.value[row] = std::exchange(before, token.value[row]);
    }
  }
  return previous;
}

Predictor Positions(const RowColumns& rows) {
  Predictor position = {"position", 0, {}, {}};
  for (int32_t at : rows.position) {
    const uint32_t from_one = static_cast<uint32_t>(std::max(0, at)) + 1;
    position.value.push_back(static_cast<int32_t>(std::bit_width(from_one)) - 1);
    position.n_values = std::max(position.n_values, position.value.back() + 1);
  }
  return position;
}

Predictor Domains(const RowColumns& rows, Random random) {
  Predictor domain = {"domain", static_cast<int32_t>(rows.datasets.size()), {}, {}};
  std::vector<int32_t> of_unit;
  for (const UnitInfo& unit : rows.units) of_unit.push_back(unit.dataset);
  Shuffle(of_unit, random);
  for (const DocumentRange& document : rows.documents) {
    domain.value.insert(domain.value.end(), document.n_rows, document.dataset);
    domain.permuted.insert(domain.permuted.end(), document.n_rows, of_unit[document.unit]);
  }
  return domain;
}

}  // namespace

std::vector<Predictor> MakePredictors(const RowColumns& rows, uint64_t seed) {
  std::vector<Predictor> predictors;
  const bool has_ids =
      std::any_of(rows.token_id.begin(), rows.token_id.end(), [](int32_t id) { return id >= 0; });
  if (has_ids) {
    predictors.push_back(Tokens(rows));
    predictors.push_back(PreviousTokens(rows, predictors[0]));
  }
  predictors.push_back(Positions(rows));
  const auto key = [&](const std::string& name) {
    return Combine(Combine(seed, 7), KeyOfName(name));
  };
  for (Predictor& predictor : predictors) {
    predictor.permuted = predictor.value;
    Shuffle(predictor.permuted, Random(key(predictor.name)));
  }
  if (rows.datasets.size() > 1) predictors.push_back(Domains(rows, Random(key("domain"))));
  return predictors;
}

}  // namespace moescope::study
