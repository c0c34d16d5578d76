#include "study/analysis/expert_sets.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/random.h"

namespace moescope::study {
namespace {

constexpr int kMaxTableSets = 512;  // a 256 KB table stays in the second-level cache

}  // namespace

ExpertSets::ExpertSets(const LayerColumns& layer) : n_words_((layer.n_experts + 63) / 64) {
  const int n_slots = layer.experts_per_token;
  const size_t n_rows = n_slots == 0 ? 0 : layer.experts.size() / n_slots;
  index_.assign(1024, -1);
  set_of_row_.resize(n_rows);
  std::vector<uint64_t> bits(n_words_);
  for (size_t row = 0; row < n_rows; ++row) {
    std::fill(bits.begin(), bits.end(), 0);
    for (int slot = 0; slot < n_slots; ++slot) {
      const int expert = layer.experts[row * n_slots + slot];
      if (expert >= 0) bits[expert >> 6] |= uint64_t{1} << (expert & 63);
    }
    set_of_row_[row] = Intern(bits.data());
  }
  if (n_sets_ <= kMaxTableSets) {
    std::vector<uint8_t> meets(static_cast<size_t>(n_sets_) * n_sets_);
    for (int a = 0; a < n_sets_; ++a) {
      for (int b = 0; b < n_sets_; ++b) {
        meets[static_cast<size_t>(a) * n_sets_ + b] = MeetByBits(a, b) ? 1 : 0;
      }
    }
    meets_ = std::move(meets);
  }
}

int32_t ExpertSets::Intern(const uint64_t* bits) {
  uint64_t hash = 0;
  for (int word = 0; word < n_words_; ++word) hash = Combine(hash, bits[word]);
  const size_t mask = index_.size() - 1;
  for (size_t place = hash & mask;; place = (place + 1) & mask) {
    const int32_t set = index_[place];
    if (set >= 0) {
      if (std::equal(bits, bits + n_words_, bits_.data() + static_cast<size_t>(set) * n_words_)) {
        return set;
      }
      continue;
    }
    index_[place] = n_sets_;
    bits_.insert(bits_.end(), bits, bits + n_words_);
    if (static_cast<size_t>(++n_sets_) * 2 > index_.size()) GrowIndex();
    return n_sets_ - 1;
  }
}

void ExpertSets::GrowIndex() {
  index_.assign(index_.size() * 2, -1);
  const size_t mask = index_.size() - 1;
  for (int32_t set = 0; set < n_sets_; ++set) {
    uint64_t hash = 0;
    for (int word = 0; word < n_words_; ++word) {
      hash = Combine(hash, bits_[static_cast<size_t>(set) * n_words_ + word]);
    }
    size_t place = hash & mask;
    while (index_[place] >= 0) place = (place + 1) & mask;
    index_[place] = set;
  }
}

std::vector<int16_t> ExpertSets::Members(int32_t set) const {
  std::vector<int16_t> members;
  for (int expert = 0; expert < n_words_ * 64; ++expert) {
    if (bits_[static_cast<size_t>(set) * n_words_ + (expert >> 6)] >> (expert & 63) & 1) {
      members.push_back(static_cast<int16_t>(expert));
    }
  }
  return members;
}

PairCounter::PairCounter(const ExpertSets& sets, int n_experts)
    : sets_(sets), expert_counts_(n_experts), set_counts_(sets.size()) {}

PairCounts PairCounter::AllPairs(std::span<const int16_t> first, std::span<const int32_t> set,
                                 uint64_t key) {
  PairCounts result;
  const double n = static_cast<double>(set.size());
  if (set.size() < 2) return result;
  result.pairs = n * (n - 1);

  for (int16_t expert : first) {
    if (expert >= 0) ++expert_counts_[expert];
  }
  // Visiting a row's own expert clears it, so the table is only walked where the group is.
  for (int16_t expert : first) {
    if (expert < 0) continue;
    const double count = static_cast<double>(std::exchange(expert_counts_[expert], 0));
    result.first_repeats += count > 0 ? count * (count - 1) : 0;
  }

  present_.clear();
  for (int32_t s : set) {
    if (set_counts_[s]++ == 0) present_.push_back(s);
  }
  if (static_cast<int64_t>(present_.size()) <= kExactSets) {
    for (size_t a = 0; a < present_.size(); ++a) {
      const double count_a = static_cast<double>(set_counts_[present_[a]]);
      if (sets_.Meet(present_[a], present_[a])) result.any_overlaps += count_a * (count_a - 1);
      double met = 0;
      for (size_t b = a + 1; b < present_.size(); ++b) {
        if (sets_.Meet(present_[a], present_[b])) {
          met += static_cast<double>(set_counts_[present_[b]]);
        }
      }
      result.any_overlaps += 2 * count_a * met;
    }
  } else {
    Random random(key);
    const int64_t n_rows = static_cast<int64_t>(set.size());
    const int64_t n_draws = std::min(kMaxDraws, kDrawsPerRow * n_rows);
    int64_t met = 0;
    for (int64_t draw = 0; draw < n_draws; ++draw) {
      const int64_t a = static_cast<int64_t>(random.Below(n_rows));
      int64_t b = static_cast<int64_t>(random.Below(n_rows - 1));
      if (b >= a) ++b;
      met += sets_.Meet(set[a], set[b]) ? 1 : 0;
    }
    result.any_overlaps = result.pairs * static_cast<double>(met) / static_cast<double>(n_draws);
  }
  for (int32_t s : present_) set_counts_[s] = 0;
  return result;
}

PairCounts PairCounter::DifferingPairs(std::vector<int32_t>& token, std::vector<int16_t>& first,
                                       std::vector<int32_t>& set, uint64_t key) {
  // Pairs whose tokens differ are all pairs without those inside one token's rows.
  PairCounts result = AllPairs(first, set, key);
  order_.resize(token.size());
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [&](int64_t a, int64_t b) {
    return token[a] != token[b] ? token[a] < token[b] : a < b;
  });
  const auto reorder = [&](auto& values) {
    auto sorted = values;
    for (size_t i = 0; i < order_.size(); ++i) sorted[i] = values[order_[i]];
    values = std::move(sorted);
  };
  reorder(first);
  reorder(set);
  reorder(token);
  for (size_t begin = 0; begin < token.size();) {
    size_t end = begin + 1;
    while (end < token.size() && token[end] == token[begin]) ++end;
    const PairCounts same = AllPairs(std::span(first).subspan(begin, end - begin),
                                     std::span(set).subspan(begin, end - begin), key);
    result.pairs -= same.pairs;
    result.first_repeats -= same.first_repeats;
    result.any_overlaps -= same.any_overlaps;
    begin = end;
  }
  return result;
}

}  // namespace moescope::study
