// `tojson`, as transformers defines it for chat templates: json.dumps without escaping for HTML.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/callables.h"
#include "text/jinja/python_text.h"
#include "text/utf8.h"

namespace moescope::text::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void Write(const Value& value, int depth) {
    if (depth > kMaxValueDepth) {
      runtime_.Refuse(
          fmt::format("expected at most {} levels in JSON, found more", kMaxValueDepth));
    }
    runtime_.Step();
    runtime_.NeedRoom(out_.size());
    switch (value.kind) {
      case Kind::kNone:
        out_ += "null";
        return;
      case Kind::kBoolean:
        out_ += value.boolean ? "true" : "false";
        return;
      case Kind::kInteger:
      case Kind::kFloat:
        return WriteNumber(value);
      case Kind::kString:
        return WriteString(value.text());
      case Kind::kList:
      case Kind::kTuple:
        return WriteList(*value.list, depth);
      case Kind::kDict:
        return WriteDict(*value.dict, depth);
      default:
        runtime_.RefuseKind("write as JSON", value);
    }
  }
  const std::string& text() const { return out_; }

 private:
  void WriteNumber(const Value& value) {
    if (value.is(Kind::kInteger)) {
      out_ += std::to_string(value.integer);
    } else if (std::isnan(value.number)) {
      out_ += "NaN";
    } else if (std::isinf(value.number)) {
      out_ += value.number < 0 ? "-Infinity" : "Infinity";
    } else {
      out_ += FormatFloat(value.number);
    }
  }

  void WriteString(std::string_view text) {
    runtime_.Scan(text.size() * 8);
    runtime_.NeedRoom(out_.size() + text.size() * 6);
    out_ += '"';
    for (size_t at = 0; at < text.size();) {
      const Utf8Step step = StepUtf8(text, at);
      WriteCharacter(step.code_point, text.substr(at, step.n_bytes));
      at += step.n_bytes;
    }
    out_ += '"';
  }

  void WriteCharacter(uint32_t code, std::string_view bytes) {
    constexpr std::string_view kShort = "\"\\\n\r\t\f\b";
    constexpr std::string_view kLetters = "\"\\nrtfb";
    const size_t index = code < 0x80 ? kShort.find(static_cast<char>(code)) : std::string::npos;
    if (index != std::string::npos) {
      (out_ += '\\') += kLetters[index];
    } else if (code < 0x20 || (style_.ensure_ascii && code >= 0x7F && code < 0x10000)) {
      if (code == 0x7F) {
        out_ += bytes;
      } else {
        fmt::format_to(std::back_inserter(out_), "\\u{:04x}", code);
      }
    } else if (style_.ensure_ascii && code >= 0x10000) {
      const uint32_t rest = code - 0x10000;
      fmt::format_to(std::back_inserter(out_), "\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10),
                     0xDC00 + (rest & 0x3FF));
    } else {
      out_ += bytes;
    }
  }

  void NewLine(int depth) {
    if (!style_.has_indent) return;
    runtime_.NeedRoom(out_.size() + style_.indent.size() * static_cast<size_t>(depth));
    runtime_.Scan(style_.indent.size() * static_cast<size_t>(depth));
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  void Separate(size_t index, int depth) {
    if (index > 0) {
      runtime_.NeedRoom(out_.size() + style_.item_separator.size());
      out_ += style_.item_separator;
    }
    NewLine(depth + 1);
  }

  void WriteList(const List& list, int depth) {
    out_ += '[';
    for (size_t i = 0; i < list.n; ++i) {
      Separate(i, depth);
      Write(list.items[i], depth + 1);
    }
    if (list.n > 0) NewLine(depth);
    out_ += ']';
  }

  void WriteDict(const Dict& dict, int depth) {
    std::vector<const Entry*> entries;
    for (size_t i = 0; i < dict.n; ++i) entries.push_back(&dict.entries[i]);
    if (style_.sort_keys) {
      runtime_.Step(entries.size());
      std::stable_sort(entries.begin(), entries.end(), [&](const Entry* a, const Entry* b) {
        return runtime_.Compare(a->key, b->key).value_or(0) < 0;
      });
    }
    out_ += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      Separate(i, depth);
      WriteKey(entries[i]->key);
      runtime_.NeedRoom(out_.size() + style_.key_separator.size());
      out_ += style_.key_separator;
      Write(entries[i]->value, depth + 1);
    }
    if (dict.n > 0) NewLine(depth);
    out_ += '}';
  }

  void WriteKey(const Value& key) {
    if (key.is_string()) return WriteString(key.text());
    if (!key.is_number() && !key.is(Kind::kNone)) runtime_.RefuseKind("write as a JSON key", key);
    out_ += '"';
    Write(key, 0);
    out_ += '"';
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

Value ToJson(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  writer.Write(value, 0);
  return runtime.NewString(writer.text());
}

}  // namespace moescope::text::jinja
