#include "text/record_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/error.h"
#include "files/json_events.h"
#include "text/chat_template.h"

namespace moescope::text {
namespace {

// What a record has under one of the names we look for.
struct Field {
  enum class Kind { kMissing, kText, kNumber, kNull, kIntegers, kOther };
  std::string name;
  Kind kind = Kind::kMissing;
  std::string text;               // kText; kNumber and booleans as the record spells them
  std::vector<int32_t> integers;  // kIntegers: an array of them

  bool is_scalar() const { return kind == Kind::kText || kind == Kind::kNumber; }
};

// Collects the wanted fields of the outermost object; passes over all else.
class FieldCollector : public files::JsonHandler {
 public:
  static constexpr size_t kText = 0, kTokens = 1, kSource = 2, kUnit = 3, kMessages = 4;

  FieldCollector() {
    for (const char* name : {"text", "tokens", "source", "unit", "messages"}) Want(name);
  }
  // Index of the field.
  size_t Want(const std::string& name) {
    const auto found = std::find_if(fields_.begin(), fields_.end(),
                                    [&](const Field& field) { return field.name == name; });
    if (found != fields_.end()) return static_cast<size_t>(found - fields_.begin());
    fields_.push_back({.name = name, .text = {}, .integers = {}});
    return fields_.size() - 1;
  }
  Field& field(size_t index) { return fields_[index]; }
  bool is_object() const { return is_object_; }
  // The names the record does have, for messages.
  const std::vector<std::string>& present() const { return present_; }

  void BeginObject() override {
    is_object_ = is_object_ || depth_ == 0;
    Open(Field::Kind::kOther);
  }
  void EndObject() override { --depth_; }
  void BeginArray() override { Open(Field::Kind::kIntegers); }
  void EndArray() override { --depth_; }
  void Key(const std::string& key) override {
    if (depth_ != 1) return;
    if (present_.size() < 12) present_.push_back(key.substr(0, 60));
    const auto found = std::find_if(fields_.begin(), fields_.end(),
                                    [&](const Field& field) { return field.name == key; });
    current_ = found == fields_.end() ? nullptr : &*found;
  }
  void String(const std::string& value) override { Scalar(Field::Kind::kText, value); }
  void Unsigned(uint64_t value) override {
    if (depth_ == 2 && current_ != nullptr && current_->kind == Field::Kind::kIntegers &&
        value <= static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
      current_->integers.push_back(static_cast<int32_t>(value));
      return;
    }
    Scalar(Field::Kind::kNumber, std::to_string(value));
  }
  void Other(std::string_view what) override {
    Scalar(what == "null" ? Field::Kind::kNull : Field::Kind::kNumber, std::string(what));
  }

 private:
  void Open(Field::Kind kind) {
    if (++depth_ == 2 && current_ != nullptr) {
      current_->kind = kind;
    } else if (depth_ > 2) {
      SpoilArray();
    }
  }
  void Scalar(Field::Kind kind, const std::string& value) {
    if (depth_ > 1) return SpoilArray();
    if (depth_ == 0 || current_ == nullptr) return;
    current_->kind = kind;
    current_->text = value;
  }
  // Something else than an integer that fits lies in an array.
  void SpoilArray() {
    if (current_ != nullptr) current_->kind = Field::Kind::kOther;
  }

  std::vector<Field> fields_;
  std::vector<std::string> present_;
  Field* current_ = nullptr;
  int depth_ = 0;
  bool is_object_ = false;
};

const char* Name(Field::Kind kind) {
  switch (kind) {
    case Field::Kind::kMissing:
      return "no such field";
    case Field::Kind::kText:
      return "a text";
    case Field::Kind::kNumber:
      return "a number";
    case Field::Kind::kNull:
      return "null";
    case Field::Kind::kIntegers:
      return "an array";
    case Field::Kind::kOther:
      return "an array or object";
  }
  return "";
}

[[noreturn]] void RefuseField(const std::string& where, const Field& field,
                              std::string_view expected) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot read record: {}: field '{}': expected {}, found {}", where,
                          field.name, expected, Name(field.kind)));
}

[[noreturn]] void RefuseRecord(const std::string& where, FieldCollector& record) {
  if (record.field(FieldCollector::kMessages).kind != Field::Kind::kMissing) {
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("cannot read record: {}: `messages` need a chat template, and the model "
                    "has none; use --template over plain fields",
                    where));
  }
  const Field& text = record.field(FieldCollector::kText);
  if (text.kind != Field::Kind::kMissing) RefuseField(where, text, "a text");
  const Field& tokens = record.field(FieldCollector::kTokens);
  if (tokens.kind != Field::Kind::kMissing) RefuseField(where, tokens, "an array of token ids");
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("cannot read record: {}: expected a field `text` or `tokens`, found [{}]; "
                  "name the fields to use: --template '{{FIELD}}'",
                  where, fmt::join(record.present(), ", ")));
}

std::string FillTemplate(const TextTemplate& text_template, const std::string& where,
                         FieldCollector& record) {
  std::vector<const Field*> values;
  for (const std::string& name : text_template.fields()) {
    const Field& field = record.field(record.Want(name));
    // Null is how many data sets write "nothing here" (an instruction without context).
    if (!field.is_scalar() && field.kind != Field::Kind::kNull) {
      RefuseField(where, field, "text or a number, as the template names it");
    }
    values.push_back(&field);
  }
  static const std::string kNothing;
  return text_template.Fill([&](size_t i) -> const std::string& {
    return values[i]->is_scalar() ? values[i]->text : kNothing;
  });
}

// The trees of `messages` and `tools`; passes over all else. A second reading of the record, which
// only conversations need.
class ConversationCollector : public files::JsonHandler {
 public:
  explicit ConversationCollector(const std::string& where)
      : messages_(where + ": messages"), tools_(where + ": tools") {}

  ChatValue TakeMessages() { return messages_.Take(); }
  ChatValue TakeTools() { return tools_.Take(); }

  void BeginObject() override {
    if (depth_++ > 0 && current_ != nullptr) current_->BeginObject();
  }
  void EndObject() override {
    if (--depth_ > 0 && current_ != nullptr) current_->EndObject();
  }
  void BeginArray() override {
    ++depth_;
    if (current_ != nullptr) current_->BeginArray();
  }
  void EndArray() override {
    --depth_;
    if (current_ != nullptr) current_->EndArray();
  }
  void Key(const std::string& key) override {
    if (depth_ == 1) {
      current_ = key == "messages" ? &messages_ : key == "tools" ? &tools_ : nullptr;
    } else if (current_ != nullptr) {
      current_->Key(key);
    }
  }
  void String(const std::string& value) override {
    if (current_ != nullptr) current_->String(value);
  }
  void Unsigned(uint64_t value) override {
    if (current_ != nullptr) current_->Unsigned(value);
  }
  void Other(std::string_view what) override {
    if (current_ != nullptr) current_->Other(what);
  }

 private:
  ChatValueBuilder messages_, tools_;
  ChatValueBuilder* current_ = nullptr;
  int depth_ = 0;
};

void CheckMessages(const std::string& where, const ChatValue& messages) {
  const auto is_message = [](const ChatValue& message) {
    const ChatValue* role = message.Find("role");
    return role != nullptr && role->text() != nullptr;
  };
  const ChatValue::List* list = messages.list();
  if (list != nullptr && std::all_of(list->begin(), list->end(), is_message)) return;
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot read record: {}: field 'messages': expected an array of objects "
                          "with `role` and `content`, found something else",
                          where));
}

// The text of a conversation; empty when there are no messages.
std::string RenderMessages(const DataSpec& spec, std::string_view json, const std::string& where) {
  ConversationCollector collector(where);
  files::ReadJson(json, where, collector, 0, json.size());
  ChatRequest request;
  request.messages = collector.TakeMessages();
  request.tools = collector.TakeTools();
  request.bos_token = spec.bos_token;
  request.eos_token = spec.eos_token;
  CheckMessages(where, request.messages);
  if (request.messages.list()->empty()) return "";
  try {
    return spec.chat_template->Render(request);
  } catch (const Error& error) {  // which record it was, beside which line of the template
    throw Error(error.kind(), fmt::format("cannot read record: {}: {}", where, error.what()));
  }
}

}  // namespace

RecordReader::RecordReader(const DataSpec& spec) : spec_(spec) {
  if (!spec.text_template.empty()) template_.emplace(spec.text_template);
}

bool RecordReader::Read(std::string_view json, const std::string& where, const std::string& source,
                        Document& document) const {
  FieldCollector record;
  if (template_) {
    for (const std::string& name : template_->fields()) record.Want(name);
  }
  const bool own_unit = !spec_.unit_field.empty() && spec_.unit_field != "-";
  const size_t unit_index =
      own_unit ? record.Want(spec_.unit_field) : static_cast<size_t>(FieldCollector::kUnit);
  files::ReadJson(json, where, record, 0, json.size());  // a text may be all of its record
  if (!record.is_object()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot read record: {}: expected a JSON object", where));
  }

  document = {};
  document.dataset = spec_.name;
  if (template_) {
    document.text = FillTemplate(*template_, where, record);
  } else if (record.field(FieldCollector::kTokens).kind == Field::Kind::kIntegers) {
    document.tokens = std::move(record.field(FieldCollector::kTokens).integers);
    document.has_tokens = true;
  } else if (record.field(FieldCollector::kText).kind == Field::Kind::kText) {
    document.text = std::move(record.field(FieldCollector::kText).text);
  } else if (spec_.chat_template != nullptr &&
             record.field(FieldCollector::kMessages).kind != Field::Kind::kMissing) {
    document.text = RenderMessages(spec_, json, where);
    document.has_specials = true;
  } else {
    RefuseRecord(where, record);
  }
  if (!spec_.raw) NormaliseNewlines(document.text);

  const Field& source_field = record.field(FieldCollector::kSource);
  const Field& unit = record.field(unit_index);
  if (own_unit && !unit.is_scalar()) RefuseField(where, unit, "a text or number (--unit-by)");
  document.source = source_field.is_scalar() ? source_field.text : source;
  document.unit = spec_.unit_field == "-" ? spec_.name
                  : unit.is_scalar()      ? unit.text
                                          : document.source;
  return document.has_tokens ? !document.tokens.empty() : !document.text.empty();
}

void NormaliseNewlines(std::string& text) {
  const size_t first = text.find("\r\n");
  if (first == std::string::npos) return;
  size_t kept = first;
  for (size_t i = first; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    text[kept++] = text[i];
  }
  text.resize(kept);
}

}  // namespace moescope::text
