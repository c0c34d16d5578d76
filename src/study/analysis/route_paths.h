// Paths: the first choices of a row at several layers, numbered so that they can be counted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"

namespace moescope::study {

// Grows one layer at a time, so that layers need not be in memory together: 4 bytes an item and
// 8 a different path. Numbers of a length are given by first appearance. Not thread-safe.
class RoutePaths {
 public:
  explicit RoutePaths(int64_t n_items) : path_of_item_(n_items, 0) {}

  // Adds a layer: the first choice of each item. An item with a dropped one (-1) has no path from
  // here on.
  void AddLayer(FunctionRef<int(int64_t item)> first_choice);

  int length() const { return static_cast<int>(levels_.size()); }
  // Paths of the present length that occur.
  int n_paths() const { return n_paths_; }
  // [n_items] -1: none.
  std::span<const int32_t> path_of_item() const { return path_of_item_; }
  // The experts of a path of the present length, first layer first.
  std::vector<int16_t> Experts(int32_t path) const;
  std::vector<int64_t> Counts() const;

 private:
  struct Step {
    int32_t previous;  // a path of the level before
    int16_t expert;
  };
  std::vector<std::vector<Step>> levels_;
  std::vector<int32_t> path_of_item_;
  int n_paths_ = 1;  // the empty path
};

}  // namespace moescope::study
