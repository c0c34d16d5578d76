// Our side of statistics_against_scipy.py: reads cases from standard input, one a line, numbers
// separated by spaces, and answers each with a line of numbers in full precision.
//   bh N p...                holm N p...
//   wilson SUCCESSES TRIALS LEVEL          quantile P
//   mh N a b c d ...         a = group in, b = group out, c = rest in, d = rest out
//   bootstrap LEVEL UNITS SAMPLES (numerator denominator)... index...   [samples, units]
//   spearman N a... b...
//   permutation UNITS label... value...    p of the difference of means, upper then both sides
#include <fmt/format.h>

#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "study/analysis/bootstrap.h"
#include "study/analysis/multiple_testing.h"
#include "study/analysis/odds_ratio.h"
#include "study/analysis/permutation.h"
#include "study/analysis/proportion.h"
#include "study/analysis/rank_correlation.h"

namespace moescope::study {
namespace {

// Numbers of one line; throws when there are too few.
class Line {
 public:
  explicit Line(const std::string& text) : in_(text) { in_.exceptions(std::ios::failbit); }
  std::string Word() { return Read<std::string>(); }
  int64_t Integer() { return Read<int64_t>(); }
  double Real() { return Read<double>(); }
  std::vector<double> Reals(int64_t n) {
    std::vector<double> values(n);
    for (double& value : values) value = Real();
    return values;
  }

 private:
  template <typename T>
  T Read() {
    T value;
    in_ >> value;
    return value;
  }
  std::istringstream in_;
};

std::vector<double> Bootstrap(Line& line) {
  const double level = line.Real();
  const int64_t n_units = line.Integer(), n_samples = line.Integer();
  const std::vector<double> sums = line.Reals(2 * n_units);
  std::vector<double> values;
  for (int64_t sample = 0; sample < n_samples; ++sample) {
    std::vector<uint32_t> times(n_units);
    for (int64_t draw = 0; draw < n_units; ++draw) ++times.at(line.Integer());
    std::vector<double> totals(2);
    AddResample(sums, times, totals);
    values.push_back(totals[0] / totals[1]);
  }
  const Interval interval = PercentileInterval(values, level);
  return {interval.low, interval.high};
}

std::vector<double> Permutation(Line& line) {
  const int64_t n_units = line.Integer();
  std::vector<int32_t> observed(n_units), labels(n_units);
  for (int32_t& label : observed) label = static_cast<int32_t>(line.Integer());
  const std::vector<double> values = line.Reals(n_units);
  const auto difference = [&](const std::vector<int32_t>& of) {
    double sums[2] = {0, 0}, counts[2] = {0, 0};
    for (int64_t i = 0; i < n_units; ++i) sums[of[i]] += values[i], counts[of[i]] += 1;
    return sums[1] / counts[1] - sums[0] / counts[0];
  };
  const LabelPermutations permutations(observed, 2, 100000, 1);
  const double at = difference(observed);
  std::vector<double> permuted;
  for (int64_t i = 0; i < permutations.size(); ++i) {
    permutations.Fill(i, labels);
    permuted.push_back(difference(labels));
  }
  std::vector<double> answer;
  for (const Sides sides : {Sides::kUpper, Sides::kBoth}) {
    MaxTFamily family(permutations.size(), sides);
    family.Add(std::span(&at, 1), permuted);
    answer.push_back(family.Finish()[0].p);
  }
  return answer;
}

std::vector<double> Answer(const std::string& text) {
  Line line(text);
  const std::string what = line.Word();
  if (what == "bh") return AdjustBenjaminiHochberg(line.Reals(line.Integer()));
  if (what == "holm") return AdjustHolm(line.Reals(line.Integer()));
  if (what == "quantile") return {NormalQuantile(line.Real())};
  if (what == "bootstrap") return Bootstrap(line);
  if (what == "permutation") return Permutation(line);
  if (what == "spearman") {
    const int64_t n = line.Integer();
    const std::vector<double> a = line.Reals(n), b = line.Reals(n);
    return {RankCorrelation(a, b)};
  }
  if (what == "wilson") {
    const int64_t successes = line.Integer(), trials = line.Integer();
    const Interval interval = WilsonInterval(successes, trials, line.Real());
    return {interval.low, interval.high};
  }
  if (what == "mh") {
    MantelHaenszel pooled;
    for (int64_t left = line.Integer(); left > 0; --left) {
      const std::vector<double> cells = line.Reals(4);
      pooled.Add({cells[0], cells[1], cells[2], cells[3]});
    }
    return {pooled.odds_ratio(), pooled.log_variance()};
  }
  throw std::invalid_argument("unknown case: " + what);
}

}  // namespace
}  // namespace moescope::study

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) {
      fmt::print("{}\n", fmt::join(moescope::study::Answer(line), " "));
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  return 0;
}
