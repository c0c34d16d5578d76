// A record (a line of .jsonl, a row of Parquet) to the document it says. Rules: docs/documents.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/document.h"
#include "text/text_template.h"

namespace moescope::text {

class RecordReader {
 public:
  // Throws Error(kBadInput) for a template that cannot be used.
  explicit RecordReader(const DataSpec& spec);

  // Reads one JSON object: the template, or `tokens`, or `text`, or `messages`; `source` and
  // `unit`. `where` ("path:line") names the record in errors; `source` is its source and unit
  // unless it says otherwise. False, with `document` unspecified, when there is no text in it.
  // Throws Error(kCorrupt) for what is not a JSON object in UTF-8, Error(kBadInput) naming the
  // field, Error(kUnsupported) for messages without a chat template, and what that throws.
  bool Read(std::string_view json, const std::string& where, const std::string& source,
            Document& document) const;

 private:
  DataSpec spec_;
  std::optional<TextTemplate> template_;
};

// CR LF to LF, in place; a lone CR stays.
void NormaliseNewlines(std::string& text);

}  // namespace moescope::text
