#include "lab/eval/task_file.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "base/cancellation.h"
#include "base/error.h"
#include "lab/eval/answer_number.h"
#include "lab/eval/csv_reader.h"
#include "lab/eval/task_shapes.h"
#include "text/byte_stream.h"

namespace moescope::lab {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// Throws Error(kBadInput).
const TaskShape& ShapeNamed(const std::string& name) {
  for (const TaskShape& shape : TaskShapes()) {
    if (shape.name == name) return shape;
  }
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("--task {}: expected one of {}, found another name; leave it out to tell the "
                  "shape by a file's fields",
                  name, ChoiceShapes()));
}

const TaskShape& ShapeOf(const TaskRecord& record) {
  std::string known;
  for (const TaskShape& shape : TaskShapes()) {
    if (shape.fits(record)) return shape;
    known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", shape.name, shape.fields);
  }
  throw Error(ErrorKind::kBadInput, fmt::format("cannot read item: {}: expected the fields of a "
                                                "task with choices, found none: {}",
                                                record.where(), known));
}

std::string HashOf(std::string_view text) {
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

bool IsCsv(const std::string& path) {
  return path.ends_with(".csv");
}

// Calls take(record) for each JSON object of a file of lines; blank lines are passed over.
template <typename Take>
void ForEachRecord(std::string_view text, const std::string& path, Take take) {
  int64_t line_number = 0;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty()) {
    ThrowIfCancelled();
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", path, line_number);
    const files::JsonValue value = files::ReadJsonTree(line, where);
    if (value.kind != files::JsonValue::Kind::kObject) {
      throw Error(ErrorKind::kBadInput, fmt::format("cannot read item: {}: expected a JSON object, "
                                                    "found {}",
                                                    where, value.Shown()));
    }
    take(TaskRecord(value, where));
  }
}

// question, choices, answer; what pandas and the hub put above them is no item.
bool IsHeader(const CsvRecord& record) {
  const std::vector<std::string>& fields = record.fields;
  return fields.size() >= 4 && fields[1] == "A" && fields[2] == "B" && fields.back().size() > 1;
}

ChoiceItem CsvItem(const CsvRecord& record, const std::string& path) {
  const std::string where = fmt::format("{}:{}", path, record.line);
  const std::vector<std::string>& fields = record.fields;
  constexpr size_t kLeast = 4, kMost = 28;
  if (fields.size() < kLeast || fields.size() > kMost) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot read item: {}: expected a question, 2 to 26 choices and the "
                            "answer's letter, found {} field{}",
                            where, fields.size(), fields.size() == 1 ? "" : "s"));
  }
  const std::vector<std::string> choices(fields.begin() + 1, fields.end() - 1);
  const std::string& letter = fields.back();
  const int answer = letter.size() == 1 ? letter[0] - 'A' : -1;
  if (answer < 0 || answer >= static_cast<int>(choices.size())) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot read item: {}: answer: expected a letter from A to {}, found "
                    "'{}'",
                    where, static_cast<char>('A' + choices.size() - 1), letter.substr(0, 100)));
  }
  return LetteredItem(where, fields[0], choices, answer);
}

[[noreturn]] void RefuseEmpty(const std::string& path) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot read task: {}: expected at least one item, found none", path));
}

struct TaskText {
  std::string text;
  std::string path;  // without the ending of a compression
};

TaskText ReadTaskText(const std::string& path) {
  using text::Compression;
  TaskText read{.text = {}, .path = path};
  Compression compression = Compression::kNone;
  const std::pair<std::string_view, Compression> endings[] = {
      {".gz", Compression::kGzip}, {".xz", Compression::kXz}, {".zst", Compression::kZstd}};
  for (const auto& [ending, meant] : endings) {
    if (!path.ends_with(ending)) continue;
    compression = meant;
    read.path = path.substr(0, path.size() - ending.size());
  }
  if (!IsCsv(read.path) && !read.path.ends_with(".jsonl")) {
    throw Error(ErrorKind::kBadInput, fmt::format("cannot read task: {}: expected .csv or .jsonl, "
                                                  "also with .gz, .xz or .zst, found another "
                                                  "ending",
                                                  path));
  }
  const auto stream = text::OpenByteStream(path, compression);
  std::vector<char> block(256 << 10);
  while (const size_t n = stream->Read(block)) {
    ThrowIfCancelled();
    if (read.text.size() + n > kMaxFileBytes) {
      throw Error(ErrorKind::kBadInput, fmt::format("cannot read task: {}: expected at most {} "
                                                    "bytes, found more; split it",
                                                    path, kMaxFileBytes));
    }
    read.text.append(block.data(), n);
  }
  return read;
}

}  // namespace

std::string ChoiceShapes() {
  std::string names;
  for (const TaskShape& shape : TaskShapes()) {
    names += (names.empty() ? "" : ", ") + std::string(shape.name);
  }
  return names;
}

ChoiceTask ParseChoiceTask(std::string_view text, const std::string& path,
                           const std::string& shape_name) {
  const TaskShape* shape = shape_name.empty() ? nullptr : &ShapeNamed(shape_name);
  ChoiceTask task{.shape = "mmlu", .hash = HashOf(text), .items = {}};
  if (IsCsv(path)) {
    if (shape != nullptr && shape->name != task.shape) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--task {}: {}: expected .jsonl for this shape, "
                              "found .csv, which only mmlu has",
                              shape_name, path));
    }
    const std::vector<CsvRecord> records = ParseCsv(text, path);
    for (size_t i = 0; i < records.size(); ++i) {
      if (i > 0 || !IsHeader(records[i])) task.items.push_back(CsvItem(records[i], path));
    }
  } else {
    ForEachRecord(text, path, [&](const TaskRecord& record) {
      if (shape == nullptr) shape = &ShapeOf(record);
      task.items.push_back(shape->read(record));
    });
    if (shape != nullptr) task.shape = shape->name;
  }
  if (task.items.empty()) RefuseEmpty(path);
  return task;
}

AnswerTask ParseAnswerTask(std::string_view text, const std::string& path) {
  AnswerTask task;
  task.hash = HashOf(text);
  ForEachRecord(text, path, [&](const TaskRecord& record) {
    AnswerItem item{.where = record.where(),
                    .unit = record.Unit(),
                    .question = record.Text("question"),
                    .solution = record.Text("answer"),
                    .number = {}};
    item.number = MarkedNumber(item.solution);
    if (item.number.empty()) record.Refuse("answer", "'#### NUMBER' at its end", "none");
    task.items.push_back(std::move(item));
  });
  if (task.items.empty()) RefuseEmpty(path);
  return task;
}

ChoiceTask ReadChoiceTask(const std::string& path, const std::string& shape) {
  if (!shape.empty()) ShapeNamed(shape);  // before a large file is read
  const TaskText read = ReadTaskText(path);
  return ParseChoiceTask(read.text, read.path, shape);
}

AnswerTask ReadAnswerTask(const std::string& path) {
  const TaskText read = ReadTaskText(path);
  return ParseAnswerTask(read.text, read.path);
}

}  // namespace moescope::lab
