// The shapes that files of questions have, as data: how one is known, and how a record becomes an
// item. Prompts are those of lm-evaluation-harness; docs/evaluation.md quotes them.
#pragma once

#include <span>
#include <string_view>

#include "lab/eval/task_file.h"
#include "lab/eval/task_record.h"

namespace moescope::lab {

struct TaskShape {
  std::string_view name;
  std::string_view fields;                // as messages name them
  bool (*fits)(const TaskRecord&);        // whether a record has the fields that make it this shape
  ChoiceItem (*read)(const TaskRecord&);  // Throws Error(kBadInput) as TaskRecord
};

// In the order in which they are tried.
std::span<const TaskShape> TaskShapes();

// MMLU's prompt: choices under letters, and the letter is what is scored.
// Requires: 2 to 26 choices, an answer among them.
ChoiceItem LetteredItem(std::string where, const std::string& question,
                        const std::vector<std::string>& choices, int answer);

// HellaSwag's texts without the marks of the pages they come from.
std::string WithoutMarks(std::string text);

}  // namespace moescope::lab
