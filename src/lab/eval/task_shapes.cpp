#include "lab/eval/task_shapes.h"

#include <algorithm>
#include <utility>

namespace moescope::lab {
namespace {

using files::JsonValue;

constexpr int kMostChoices = 26;  // letters

bool IsText(const TaskRecord& record, std::string_view field) {
  const JsonValue* value = record.Find(field);
  return value != nullptr && value->kind == JsonValue::Kind::kString;
}
bool IsList(const TaskRecord& record, std::string_view field) {
  const JsonValue* value = record.Find(field);
  return value != nullptr && value->kind == JsonValue::Kind::kArray;
}

std::string Stripped(const std::string& text) {
  constexpr const char* kBlanks = " \t\n\r\f\v";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// As Python's capitalize, of ASCII letters.
std::string Capitalised(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    char& c = text[i];
    if (i == 0 && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    if (i > 0 && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

ChoiceItem MakeItem(const TaskRecord& record, std::string context, std::vector<std::string> choices,
                    int answer) {
  return {.where = record.where(),
          .unit = record.Unit(),
          .contexts = {std::move(context)},
          .choices = std::move(choices),
          .delimiter = " ",
          .answer = answer};
}

int Last(const std::vector<std::string>& choices) {
  return static_cast<int>(choices.size()) - 1;
}

ChoiceItem ReadCloze(const TaskRecord& record) {
  std::vector<std::string> choices = record.Texts("choices");
  const int answer = record.Number("answer", 0, Last(choices));
  ChoiceItem item = MakeItem(record, record.Text("context"), std::move(choices), answer);
  item.delimiter.clear();
  return item;
}

ChoiceItem ReadMmlu(const TaskRecord& record) {
  const std::vector<std::string> choices = record.Texts("choices");
  if (choices.size() > kMostChoices) {
    record.Refuse("choices", "at most 26 choices", std::to_string(choices.size()));
  }
  std::vector<std::string> letters;
  for (size_t i = 0; i < choices.size(); ++i) letters.emplace_back(1, static_cast<char>('A' + i));
  const JsonValue* answer = record.Find("answer");
  const bool is_letter = answer != nullptr && answer->kind == JsonValue::Kind::kString &&
                         !answer->text.empty() && answer->text[0] >= 'A';
  ChoiceItem item = LetteredItem(
      record.where(), record.Text("question"), choices,
      is_letter ? record.Label("answer", letters) : record.Number("answer", 0, Last(choices)));
  item.unit = record.Unit();
  return item;
}

ChoiceItem ReadHellaSwag(const TaskRecord& record) {
  std::vector<std::string> endings = record.Texts("endings");
  for (std::string& ending : endings) ending = WithoutMarks(std::move(ending));
  std::string context = record.Has("ctx_a") && record.Has("ctx_b")
                            ? record.Text("ctx_a") + " " + Capitalised(record.Text("ctx_b"))
                            : record.Text("ctx");
  if (record.Has("activity_label")) context = record.Text("activity_label") + ": " + context;
  const int answer = record.Number("label", 0, Last(endings));
  return MakeItem(record, WithoutMarks(std::move(context)), std::move(endings), answer);
}

// The file of the authors has question.stem and question.choices, a list of {text, label}; the one
// on the hub a question and choices.text, choices.label.
ChoiceItem ReadArc(const TaskRecord& record) {
  std::vector<std::string> texts, labels;
  std::string question;
  const JsonValue* stem = record.Find("question");
  if (stem != nullptr && stem->kind == JsonValue::Kind::kObject) {
    const TaskRecord inner(*stem, record.where());
    question = inner.Text("stem");
    const JsonValue* choices = inner.Find("choices");
    if (choices == nullptr || choices->kind != JsonValue::Kind::kArray || choices->items.size() < 2)
      inner.Refuse("question.choices", "a list of at least two choices",
                   choices == nullptr ? "no such field" : choices->Shown());
    for (const JsonValue& choice : choices->items) {
      const TaskRecord of_choice(choice, record.where());
      texts.push_back(of_choice.Text("text"));
      labels.push_back(of_choice.Text("label"));
    }
  } else {
    question = record.Text("question");
    const JsonValue* choices = record.Find("choices");
    if (choices == nullptr) record.Refuse("choices", "an object with text and label", "no field");
    const TaskRecord inner(*choices, record.where());
    texts = inner.Texts("text");
    labels = inner.Texts("label");
    if (labels.size() != texts.size()) {
      record.Refuse("choices.label", std::to_string(texts.size()) + " labels",
                    std::to_string(labels.size()));
    }
  }
  const int answer = record.Label("answerKey", labels);
  return MakeItem(record, "Question: " + question + "\nAnswer:", std::move(texts), answer);
}

// What comes after the gap is scored, behind each option: partial evaluation, as the authors do.
ChoiceItem ReadWinoGrande(const TaskRecord& record) {
  const std::string& sentence = record.Text("sentence");
  const size_t gap = sentence.find('_');
  if (gap == std::string::npos) record.Refuse("sentence", "a gap '_'", "none");
  const std::string rest = Stripped(sentence.substr(gap + 1));
  if (rest.empty()) record.Refuse("sentence", "words after the gap '_'", "none");
  const int answer = record.Number("answer", 1, 2) - 1;
  ChoiceItem item = MakeItem(record, "", {rest, rest}, answer);
  item.contexts.clear();
  for (const char* option : {"option1", "option2"}) {
    item.contexts.push_back(sentence.substr(0, gap) + record.Text(option));
  }
  return item;
}

ChoiceItem ReadPiqa(const TaskRecord& record) {
  const int answer = record.Number("label", 0, 1);
  return MakeItem(record, "Question: " + record.Text("goal") + "\nAnswer:",
                  {record.Text("sol1"), record.Text("sol2")}, answer);
}

ChoiceItem ReadBoolQ(const TaskRecord& record) {
  const bool yes =
      record.Has("answer") ? record.Boolean("answer") : record.Number("label", 0, 1) == 1;
  return MakeItem(record,
                  record.Text("passage") + "\nQuestion: " + record.Text("question") + "?\nAnswer:",
                  {"no", "yes"}, yes ? 1 : 0);
}

constexpr TaskShape kShapes[] = {
    {"cloze", "context, choices, answer",
     [](const TaskRecord& r) { return IsText(r, "context") && IsList(r, "choices"); }, ReadCloze},
    {"mmlu", "question, choices, answer",
     [](const TaskRecord& r) { return IsText(r, "question") && IsList(r, "choices"); }, ReadMmlu},
    {"hellaswag", "ctx, endings, label", [](const TaskRecord& r) { return IsList(r, "endings"); },
     ReadHellaSwag},
    {"arc", "question, choices, answerKey",
     [](const TaskRecord& r) { return r.Has("question") && r.Has("answerKey"); }, ReadArc},
    {"winogrande", "sentence, option1, option2, answer",
     [](const TaskRecord& r) { return IsText(r, "sentence") && IsText(r, "option1"); },
     ReadWinoGrande},
    {"piqa", "goal, sol1, sol2, label",
     [](const TaskRecord& r) { return IsText(r, "goal") && IsText(r, "sol1"); }, ReadPiqa},
    {"boolq", "question, passage, answer",
     [](const TaskRecord& r) { return IsText(r, "question") && IsText(r, "passage"); }, ReadBoolQ},
};

}  // namespace

std::span<const TaskShape> TaskShapes() {
  return kShapes;
}

ChoiceItem LetteredItem(std::string where, const std::string& question,
                        const std::vector<std::string>& choices, int answer) {
  std::string context = Stripped(question);
  std::vector<std::string> letters;
  for (size_t i = 0; i < choices.size(); ++i) {
    letters.emplace_back(1, static_cast<char>('A' + i));
    context += "\n" + letters.back() + ". " + choices[i];
  }
  return {.where = where,
          .unit = where,
          .contexts = {context + "\nAnswer:"},
          .choices = std::move(letters),
          .delimiter = " ",
          .answer = answer};
}

// Source: lm_eval/tasks/hellaswag/utils.py of lm-evaluation-harness.
std::string WithoutMarks(std::string text) {
  text = Stripped(text);
  ReplaceAll(text, " [title]", ". ");
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    const size_t close = text[at] == '[' ? text.find_first_of("]\n", at) : std::string::npos;
    if (close != std::string::npos && text[close] == ']') {
      at = close + 1;
    } else {
      kept += text[at++];
    }
  }
  ReplaceAll(kept, "  ", " ");
  return kept;
}

}  // namespace moescope::lab
