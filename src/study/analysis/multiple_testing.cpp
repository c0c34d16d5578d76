#include "study/analysis/multiple_testing.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace moescope::study {
namespace {

// Places of the p-values that exist, smallest first.
std::vector<size_t> Order(std::span<const double> p) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (!std::isnan(p[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  return order;
}

}  // namespace

std::vector<double> AdjustBenjaminiHochberg(std::span<const double> p) {
  const std::vector<size_t> order = Order(p);
  std::vector<double> adjusted(p.size(), std::nan(""));
  const double n = static_cast<double>(order.size());
  double smallest = 1;
  for (size_t rank = order.size(); rank > 0; --rank) {
    smallest = std::min(smallest, p[order[rank - 1]] * (n / static_cast<double>(rank)));
    adjusted[order[rank - 1]] = smallest;
  }
  return adjusted;
}

std::vector<double> AdjustHolm(std::span<const double> p) {
  const std::vector<size_t> order = Order(p);
  std::vector<double> adjusted(p.size(), std::nan(""));
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double n_left = static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, n_left * p[order[rank]]));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

}  // namespace moescope::study
