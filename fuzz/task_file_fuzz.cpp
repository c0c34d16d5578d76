// Files of questions: JSON lines and CSV, with choices and with numbers.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "lab/eval/task_file.h"

namespace {

using moescope::lab::ChoiceItem;

void CheckItems(const moescope::lab::ChoiceTask& task) {
  for (const ChoiceItem& item : task.items) {
    const auto n = item.choices.size();
    if (n < 2 || item.answer < 0 || static_cast<size_t>(item.answer) >= n) std::abort();
    if (item.contexts.size() != 1 && item.contexts.size() != n) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* path : {"t.jsonl", "t.csv"}) {
    try {
      CheckItems(moescope::lab::ParseChoiceTask(text, path));
    } catch (const moescope::Error&) {
    }
  }
  try {
    moescope::lab::ParseAnswerTask(text, "t.jsonl");
  } catch (const moescope::Error&) {
  }
  return 0;
}
