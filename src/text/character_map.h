// A number for each character that has one, found in constant time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moescope::text {

class CharacterMap {
 public:
  static constexpr int32_t kNone = -1;
  CharacterMap() : pages_(0x110000 / kPage, 0) {}

  // Requires: code_point <= 0x10FFFF, as in Find.
  void Set(uint32_t code_point, int32_t value) {
    uint32_t& page = pages_[code_point / kPage];
    if (page == 0) {
      cells_.resize(cells_.size() + kPage, kNone);
      page = static_cast<uint32_t>(cells_.size() / kPage);
    }
    cells_[(page - 1) * kPage + code_point % kPage] = value;
  }
  int32_t Find(uint32_t code_point) const {
    const uint32_t page = pages_[code_point / kPage];
    return page == 0 ? kNone : cells_[(page - 1) * kPage + code_point % kPage];
  }

 private:
  static constexpr uint32_t kPage = 256;
  std::vector<uint32_t> pages_;  // 0: empty, else 1 + index of the page
  std::vector<int32_t> cells_;
};

}  // namespace moescope::text
