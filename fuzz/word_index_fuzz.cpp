// Spelling out a run's text: token bytes and ids are whatever a file says.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "study/analysis/word_index.h"

// The first bytes cut the rest into a vocabulary; the rest is token ids. Words asked for are the
// vocabulary's own.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  if (size < 2) return 0;
  std::vector<std::string> vocabulary;
  const size_t n_words = data[0] % 16;
  size_t at = 1;
  for (size_t i = 0; i < n_words && at < size; ++i) {
    const size_t asked = data[at++];
    const size_t length = std::min(asked, size - at);
    vocabulary.emplace_back(reinterpret_cast<const char*>(data + at), length);
    at += length;
  }
  study::RowColumnsBuilder builder;
  builder.BeginDocument(0, "a", "u");
  builder.BeginSequence();
  int32_t position = 0;
  for (; at < size; ++at) {
    if (data[at] == 255) {
      builder.BeginDocument(position, "a", "u");
      builder.BeginSequence();
    }
    builder.AddRow(static_cast<int8_t>(data[at]), position++, data[at] == 254);
  }
  const study::RowColumns rows = builder.Finish();
  const study::WordIndex index(rows, vocabulary, -1);
  for (const std::string& text : vocabulary) {
    try {
      const study::Occurrences found = index.Find(text);
      for (size_t i = 1; i < found.rows.size(); ++i) {
        if (found.rows[i - 1] > found.rows[i]) __builtin_trap();
      }
    } catch (const Error&) {
    }
  }
  return 0;
}
