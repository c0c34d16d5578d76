#include "lab/eval/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "text/utf8.h"

namespace moescope::lab {
namespace {

constexpr size_t kMaxFields = 64;

class CsvParser {
 public:
  CsvParser(std::string_view text, const std::string& path) : text_(text), path_(path) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    const size_t broken = text::FindBrokenUtf8(text_);
    if (broken == std::string_view::npos) return;
    line_ += std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(broken), '\n');
    Refuse("UTF-8", "other bytes");
  }

  std::vector<CsvRecord> Parse() {
    std::vector<CsvRecord> records;
    while (at_ < text_.size()) {
      if (SkipLineEnd()) continue;
      records.push_back(ParseRecord());
    }
    return records;
  }

 private:
  [[noreturn]] void Refuse(std::string_view expected, std::string_view found) const {
    throw Error(ErrorKind::kCorrupt, fmt::format("cannot read CSV: {}:{}: expected {}, found {}",
                                                 path_, line_, expected, found));
  }
  bool AtLineEnd() const { return text_[at_] == '\n' || text_.substr(at_).starts_with("\r\n"); }
  bool SkipLineEnd() {
    if (at_ == text_.size() || !AtLineEnd()) return false;
    at_ += text_[at_] == '\n' ? 1 : 2;
    ++line_;
    return true;
  }

  CsvRecord ParseRecord() {
    CsvRecord record{.line = line_, .fields = {}};
    while (true) {
      if (record.fields.size() == kMaxFields) {
        throw Error(ErrorKind::kBadInput,
                    fmt::format("cannot read CSV: {}:{}: expected at most {} fields, found more",
                                path_, line_, kMaxFields));
      }
      const bool quoted = at_ < text_.size() && text_[at_] == '"';
      record.fields.push_back(quoted ? QuotedField() : PlainField());
      if (at_ == text_.size() || SkipLineEnd()) return record;
      if (text_[at_] != ',') Refuse("a comma after a quoted field", "more of it");
      ++at_;
    }
  }

  std::string PlainField() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != ',' && !AtLineEnd()) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string QuotedField() {
    std::string field;
    const int64_t first_line = line_;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        if (at_ == text_.size() || text_[at_] != '"') return field;
      }
      line_ += text_[at_] == '\n';
      field += text_[at_];
    }
    line_ = first_line;
    Refuse("a closing quote", "the end of the file");
  }

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

std::vector<CsvRecord> ParseCsv(std::string_view text, const std::string& path) {
  return CsvParser(text, path).Parse();
}

}  // namespace moescope::lab
