#include "store/esft_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace moescope::store {
namespace {

class LineParser {
 public:
  LineParser(const EsftShape& shape, const std::string& path) : shape_(shape), path_(path) {}

  void Parse(std::string_view line, EsftRoutes& routes) {
    ++line_number_;
    size_t gap = line.find("\t\t");
    if (gap == std::string_view::npos) Fail("two tabs between experts and gate values", "none");
    ParseExperts(line.substr(0, gap));
    ParseWeights(line.substr(gap + 2));
    if (weights_.size() != experts_.size()) {
      Fail(fmt::format("{} gate values", experts_.size()), fmt::to_string(weights_.size()));
    }
    auto k = static_cast<size_t>(shape_.experts_per_token);
    if (experts_.size() % k != 0) {
      Fail(fmt::format("{} experts a token", k), fmt::format("{} experts", experts_.size()));
    }
    for (size_t row = 0; row < experts_.size(); row += k) AddRow(row, routes);
    routes.sequence_tokens.push_back(static_cast<int64_t>(experts_.size() / k));
  }

 private:
  // Calls fn with each field between tabs.
  template <typename Fn>
  static void ForEachField(std::string_view text, const Fn& fn) {
    for (size_t at = 0; at <= text.size();) {
      size_t end = std::min(text.find('\t', at), text.size());
      fn(text.substr(at, end - at));
      at = end + 1;
    }
  }

  template <typename T>
  T Number(std::string_view field, const char* what) const {
    T value = 0;
    auto [end, status] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (field.empty() || status != std::errc() || end != field.data() + field.size()) {
      Fail(what, fmt::format("'{}'", field.substr(0, 20)));
    }
    return value;
  }

  void ParseExperts(std::string_view text) {
    experts_.clear();
    ForEachField(text, [&](std::string_view field) {
      int expert = Number<int>(field, "an expert's number");
      if (expert < 0 || expert >= shape_.n_experts) {
        Fail(fmt::format("experts 0 to {}", shape_.n_experts - 1), fmt::to_string(expert));
      }
      experts_.push_back(static_cast<int16_t>(expert));
    });
  }

  void ParseWeights(std::string_view text) {
    weights_.clear();
    ForEachField(text, [&](std::string_view field) {
      auto weight = Number<float>(field, "a gate value");
      if (!std::isfinite(weight) || weight < 0) {
        Fail("gate values of 0 or more", fmt::format("'{}'", field.substr(0, 20)));
      }
      weights_.push_back(weight);
    });
  }

  void AddRow(size_t begin, EsftRoutes& routes) {
    auto k = static_cast<size_t>(shape_.experts_per_token);
    order_.resize(k);
    for (size_t i = 0; i < k; ++i) order_[i] = begin + i;
    std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      if (weights_[a] != weights_[b]) return weights_[a] > weights_[b];
      return experts_[a] < experts_[b];
    });
    seen_.assign(static_cast<size_t>(shape_.n_experts), false);
    for (size_t i : order_) {
      auto expert = static_cast<size_t>(experts_[i]);
      if (seen_[expert]) Fail("different experts in a token", fmt::format("{} twice", expert));
      seen_[expert] = true;
      routes.experts.push_back(experts_[i]);
      routes.weights.push_back(weights_[i]);
    }
  }

  [[noreturn]] void Fail(const std::string& expected, const std::string& found) const {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read routes: {}: line {}: expected {}, found {}", path_,
                            line_number_, expected, found));
  }

  const EsftShape& shape_;
  const std::string& path_;
  int64_t line_number_ = 0;
  std::vector<int16_t> experts_;
  std::vector<float> weights_;
  std::vector<size_t> order_;
  std::vector<bool> seen_;
};

}  // namespace

EsftRoutes ParseEsftRoutes(std::string_view text, const EsftShape& shape, const std::string& path) {
  EsftRoutes routes;
  LineParser parser(shape, path);
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    parser.Parse(line, routes);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return routes;
}

std::optional<int> EsftLayer(std::string_view name) {
  constexpr std::string_view kPrefix = "expert_weights_";
  constexpr std::string_view kSuffix = ".txt";
  constexpr int kMaxLayer = 65'535;
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  if (name.size() <= kSuffix.size()) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  int layer = 0;
  auto [end, status] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (status != std::errc() || end != name.data() + name.size() || layer < 0 || layer > kMaxLayer) {
    return std::nullopt;
  }
  return layer;
}

}  // namespace moescope::store
