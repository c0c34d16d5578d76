#include "lab/eval/cloze.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/random.h"
#include "base/valid_utf8.h"

namespace moescope::lab {
namespace {

constexpr std::string_view kBlanks = " \n\t\r";

struct Text {
  std::string source, unit, text;
};
struct TextSet {
  std::string name;
  std::vector<Text> texts;  // long enough for an item
  size_t n_units = 0;
  uint64_t n_bytes = 0;
};

void CheckRange(std::string_view option, int low, int high, int found) {
  if (low <= found && found <= high) return;
  throw Error(ErrorKind::kBadInput,
              fmt::format("{}: expected from {} to {}, found {}", option, low, high, found));
}

// The passage of about `n_bytes` that begins at the first word from `at` on, ending before a blank;
// "" where the text has none.
std::string_view WordsFrom(std::string_view text, size_t at, size_t n_bytes) {
  if (at > 0) at = text.find_first_of(kBlanks, at - 1);
  at = text.find_first_not_of(kBlanks, at);
  if (at == std::string_view::npos || text.size() - at < n_bytes) return {};
  size_t end = text.find_first_of(kBlanks, at + n_bytes);
  if (end == std::string_view::npos) end = text.size();
  // A text without blanks (or one very long word) would be no passage of about that length.
  if (end - at > 2 * n_bytes + 32) return {};
  return text.substr(at, end - at);
}

class ClozeMaker {
 public:
  explicit ClozeMaker(const ClozeOptions& options) : options_(options) {
    CheckRange("--items", 1, 1 << 20, options.n_items);
    CheckRange("--choices", 2, 26, options.n_choices);
    CheckRange("--context-bytes", 16, 1 << 20, options.context_bytes);
    CheckRange("--choice-bytes", 8, 1 << 16, options.choice_bytes);
  }

  std::vector<ClozeItem> Make(const text::ParquetOpener& open_parquet) {
    Read(open_parquet);
    for (const TextSet& set : sets_) Check(set);
    std::vector<ClozeItem> items;
    for (int i = 0; i < options_.n_items; ++i) {
      ThrowIfCancelled();
      const auto n_sets = static_cast<int>(sets_.size());
      items.push_back(MakeItem(sets_[static_cast<size_t>(i % n_sets)], i / n_sets));
    }
    return items;
  }

 private:
  size_t ItemBytes() const {
    // Room for the words that cuts are moved over.
    return static_cast<size_t>(options_.context_bytes + 2 * options_.choice_bytes) + 64;
  }

  void Read(const text::ParquetOpener& open_parquet) {
    const auto documents = text::OpenDocuments(options_.data, open_parquet);
    for (const text::DataSpec& spec : options_.data) sets_.emplace_back().name = spec.name;
    text::Document document;
    while (documents->Next(document)) {
      ThrowIfCancelled();
      if (document.has_tokens || document.text.size() < ItemBytes()) continue;
      const auto set = std::find_if(sets_.begin(), sets_.end(), [&](const TextSet& candidate) {
        return candidate.name == document.dataset;
      });
      // Broken bytes cannot stand in JSON.
      set->texts.push_back({document.source, document.unit, ValidUtf8(document.text)});
      set->n_bytes += set->texts.back().text.size();
    }
    for (TextSet& set : sets_) {
      std::vector<std::string> units;
      for (const Text& text : set.texts) units.push_back(text.unit);
      std::sort(units.begin(), units.end());
      set.n_units = static_cast<size_t>(std::unique(units.begin(), units.end()) - units.begin());
    }
  }

  void Check(const TextSet& set) const {
    if (set.n_units >= 2) return;
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot make items of '{}': expected at least 2 units with a document "
                            "of {} bytes, found {}; lower --context-bytes and --choice-bytes, or "
                            "name units with --unit-by",
                            set.name, ItemBytes(), set.n_units));
  }

  // A place in the text of a set, each byte alike.
  static std::pair<const Text*, size_t> Draw(const TextSet& set, Random& random) {
    uint64_t at = random.Below(set.n_bytes);
    for (const Text& text : set.texts) {
      if (at < text.text.size()) return {&text, at};
      at -= text.text.size();
    }
    return {&set.texts.back(), 0};
  }

  // A passage of a choice's length from another unit, none of those taken.
  std::string_view Elsewhere(const TextSet& set, const std::string& unit,
                             const std::vector<std::string_view>& taken, Random& random) const {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const auto [text, at] = Draw(set, random);
      if (text->unit == unit) continue;
      const std::string_view words =
          WordsFrom(text->text, at, static_cast<size_t>(options_.choice_bytes));
      const bool is_new = std::find(taken.begin(), taken.end(), words) == taken.end();
      if (!words.empty() && is_new) return words;
    }
    RefuseSet(set);
  }

  ClozeItem MakeItem(const TextSet& set, int number) const {
    Random random(
        Combine(Combine(KeyOfName(set.name), options_.seed), static_cast<uint64_t>(number)));
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const auto [text, at] = Draw(set, random);
      const std::string_view context =
          WordsFrom(text->text, at, static_cast<size_t>(options_.context_bytes));
      if (context.empty()) continue;
      const size_t end = static_cast<size_t>(context.data() - text->text.data()) + context.size();
      const std::string_view truth =
          WordsFrom(text->text, end + 1, static_cast<size_t>(options_.choice_bytes));
      if (truth.empty()) continue;
      const size_t begin = static_cast<size_t>(truth.data() - text->text.data());
      const std::string blanks = text->text.substr(end, begin - end);
      ClozeItem item{
          .dataset = set.name,
          .source = text->source,
          .unit = text->unit,
          .context = std::string(context),
          .choices = {},
          .answer = static_cast<int>(random.Below(static_cast<uint64_t>(options_.n_choices)))};
      std::vector<std::string_view> taken = {truth};
      for (int c = 0; c < options_.n_choices; ++c) {
        if (c != item.answer) taken.push_back(Elsewhere(set, text->unit, taken, random));
        item.choices.push_back(blanks + std::string(c == item.answer ? truth : taken.back()));
      }
      return item;
    }
    RefuseSet(set);
  }

  [[noreturn]] static void RefuseSet(const TextSet& set) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot make items of '{}': expected words between blanks, found "
                            "passages without; lower --context-bytes and --choice-bytes",
                            set.name));
  }

  static constexpr int kAttempts = 10000;
  const ClozeOptions& options_;
  std::vector<TextSet> sets_;
};

}  // namespace

std::vector<ClozeItem> MakeCloze(const ClozeOptions& options,
                                 const text::ParquetOpener& open_parquet) {
  return ClozeMaker(options).Make(open_parquet);
}

std::string FormatCloze(const std::vector<ClozeItem>& items) {
  std::string lines;
  for (const ClozeItem& item : items) {
    const nlohmann::ordered_json record = {{"context", item.context}, {"choices", item.choices},
                                           {"answer", item.answer},   {"dataset", item.dataset},
                                           {"source", item.source},   {"unit", item.unit}};
    lines += record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  return lines;
}

}  // namespace moescope::lab
