#include "study/figures/cell_json.h"

#include <nlohmann/json.hpp>

namespace moescope::study {

nlohmann::ordered_json CellJson(const Cell& cell) {
  return std::visit(
      [](const auto& value) -> nlohmann::ordered_json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) {
          return nullptr;
        } else if constexpr (std::is_same_v<std::decay_t<decltype(value)>, CountTable>) {
          return value.Rows();
        } else {
          return value;
        }
      },
      cell);
}

}  // namespace moescope::study
