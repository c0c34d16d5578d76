// Files of questions: which shapes there are, and an item of each as the text that a model sees.
// Shapes, prompts and their sources: docs/evaluation.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::lab {

// A question whose answer is one of several texts.
struct ChoiceItem {
  std::string where;  // "file:line"
  std::string unit;   // what statistics resample: the record's `unit`, else the item itself
  // What comes before: one for all choices, or one for each where these stand inside the sentence.
  std::vector<std::string> contexts;
  std::vector<std::string> choices;  // what is scored, without the delimiter before it
  std::string delimiter;             // between context and choice: " ", or nothing
  int answer = 0;

  const std::string& Context(size_t choice) const {
    return contexts[contexts.size() == 1 ? 0 : choice];
  }
  std::string Continuation(size_t choice) const { return delimiter + choices[choice]; }
};

// A question that is answered by writing.
struct AnswerItem {
  std::string where, unit;
  std::string question;
  std::string solution;  // as an example shows it
  std::string number;    // after "####", as AnswerNumber gives it
};

struct ChoiceTask {
  std::string shape;  // "mmlu", ...
  std::string hash;   // of the file's bytes, 16 hex digits
  std::vector<ChoiceItem> items;
};
struct AnswerTask {
  std::string shape = "gsm8k";
  std::string hash;
  std::vector<AnswerItem> items;
};

// `text` is a file of items: CSV where the path ends in .csv, else a JSON object a line. `shape`:
// "": the first whose fields the first record has.
// Throws Error(kBadInput) for an unknown shape, listing them; for a file without items; naming file
// and line, the field, what may be there and what is, for a record that is no such item.
// Error(kCorrupt) as ParseCsv and files::ReadJson.
ChoiceTask ParseChoiceTask(std::string_view text, const std::string& path,
                           const std::string& shape = "");
AnswerTask ParseAnswerTask(std::string_view text, const std::string& path);

// The same of a file, .csv or .jsonl, also .gz .xz .zst, of at most 1 GiB. Throws Error as the
// above, OpenByteStream; kBadInput for another ending.
ChoiceTask ReadChoiceTask(const std::string& path, const std::string& shape = "");
AnswerTask ReadAnswerTask(const std::string& path);

// "a, b, c": the shapes of choices.
std::string ChoiceShapes();

}  // namespace moescope::lab
