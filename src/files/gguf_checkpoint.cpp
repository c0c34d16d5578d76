#include "files/gguf_checkpoint.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

#include "base/error.h"
#include "files/chat_template_source.h"
#include "files/checkpoint_builder.h"
#include "files/family.h"
#include "files/gguf.h"
#include "files/gguf_config.h"
#include "files/gguf_keys.h"
#include "files/gguf_vocabulary.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

struct Part {
  std::shared_ptr<const RandomAccessFile> file;
  GgufFile gguf;
};

Part OpenPart(const Folder& folder, const std::string& name) {
  std::shared_ptr<const RandomAccessFile> file = folder.Open(name);
  return {file, GgufFile(file)};
}

// Each part must say that it is the one its name says.
void CheckParts(const std::vector<Part>& parts) {
  uint64_t n_tensors = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const GgufKeys keys(parts[i].gguf);
    n_tensors += parts[i].gguf.tensors().size();
    const int number = keys.Integer("split.no", 0, UINT16_MAX);
    const int of = keys.Integer("split.count", 0, UINT16_MAX);
    if (number != static_cast<int>(i) || of != static_cast<int>(parts.size())) {
      keys.Refuse("split.no", fmt::format("part {} of {}", i, parts.size()),
                  fmt::format("part {} of {}", number, of));
    }
  }
  const GgufKeys first(parts[0].gguf);
  if (!first.Has("split.tensors.count")) return;
  const int wanted = first.Integer("split.tensors.count", 0, INT32_MAX);
  if (static_cast<uint64_t>(wanted) != n_tensors) {
    first.Refuse("split.tensors.count", std::to_string(n_tensors), std::to_string(wanted));
  }
}

// The file itself, or all parts of the split model it belongs to.
std::vector<Part> OpenParts(const Folder& folder, const std::string& name) {
  std::vector<Part> parts;
  std::optional<SplitName> split = ParseSplitName(name);
  parts.push_back(OpenPart(folder, split ? split->Of(1) : name));
  const int count = GgufKeys(parts[0].gguf).IntegerOr("split.count", 0, UINT16_MAX, 1);
  if (count <= 1) return parts;
  if (!split || split->count != count) {
    GgufKeys(parts[0].gguf)
        .Refuse("split.count", "a file name that ends in -00001-of-0000N.gguf with that N",
                std::to_string(count));
  }
  for (int number = 2; number <= count; ++number) {
    if (!folder.Has(split->Of(number))) {
      throw Error(ErrorKind::kNotFound,
                  fmt::format("cannot open checkpoint: {}: expected {} parts, {} is missing; fetch "
                              "the missing files",
                              folder.PathOf(split->Of(1)), count, split->Of(number)));
    }
    parts.push_back(OpenPart(folder, split->Of(number)));
  }
  CheckParts(parts);
  return parts;
}

void AddTensors(const GgufFile& file, int index, CheckpointBuilder& builder) {
  for (const GgufTensor& tensor : file.tensors()) {
    if (!tensor.type->dtype) {
      throw Error(
          ErrorKind::kUnsupported,
          fmt::format("cannot run this model: {}: tensor '{}' is {}; supported are {}", file.path(),
                      tensor.name.substr(0, 100), tensor.type->name, ReadableGgufTypes()));
    }
    builder.AddTensor(
        index, {tensor.name, *tensor.type->dtype, tensor.shape, tensor.offset, tensor.n_bytes});
  }
}

ModelConfig ReadConfig(const std::vector<Part>& parts, const GgufKeys& keys) {
  std::set<std::string_view> names;
  int64_t vocab_rows = 0;
  for (const Part& part : parts) {
    for (const GgufTensor& tensor : part.gguf.tensors()) {
      names.insert(tensor.name);
      if (tensor.name == "token_embd.weight") vocab_rows = tensor.shape[0];
    }
  }
  const std::string& path = parts[0].gguf.path();
  ModelConfig config = ReadGgufConfig(keys, path, names, vocab_rows);
  if (names.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot use checkpoint: {}: expected tensors, found none", path));
  }
  return config;
}

}  // namespace

std::string SplitName::Of(int other) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, other, count);
}

std::optional<SplitName> ParseSplitName(std::string_view name) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";
  if (name.size() < kForm.size()) return std::nullopt;
  std::string_view tail = name.substr(name.size() - kForm.size());
  SplitName split{.stem = std::string(name.substr(0, name.size() - kForm.size()))};
  auto number = [&](size_t at, int& value) {
    auto [end, status] = std::from_chars(tail.data() + at, tail.data() + at + 5, value);
    return status == std::errc() && end == tail.data() + at + 5;
  };
  if (!number(1, split.number) || !number(10, split.count)) return std::nullopt;
  const bool in_range = 1 <= split.number && split.number <= split.count;
  return in_range && name == split.Of(split.number) ? std::optional(split) : std::nullopt;
}

Checkpoint OpenGgufCheckpoint(const Folder& folder, const std::string& name) {
  std::vector<Part> parts = OpenParts(folder, name);
  const GgufFile& gguf = parts[0].gguf;
  GgufKeys keys(gguf);
  ModelConfig config = ReadConfig(parts, keys);
  std::string note;
  std::shared_ptr<const Vocabulary> vocabulary = ReadGgufVocabulary(keys, gguf, note);
  if (vocabulary != nullptr) {
    config.bos_id = vocabulary->bos_id;
    config.eos_id = vocabulary->eos_id;
  } else {
    config.bos_id = keys.IntegerOr("tokenizer.ggml.bos_token_id", 0, config.vocab_size - 1, -1);
    config.eos_id = keys.IntegerOr("tokenizer.ggml.eos_token_id", 0, config.vocab_size - 1, -1);
  }
  config.AddEndId(config.eos_id);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (keys.Has(key)) config.AddEndId(keys.Integer(key, 0, config.vocab_size - 1));
  }
  CheckModelConfig(config, gguf.path());
  CheckpointBuilder builder(gguf.path(), "gguf", config,
                            config.dense() ? kGgufDenseNames : kGgufNames);
  if (vocabulary == nullptr) builder.SetTokenizerNote(note);
  builder.SetVocabulary(std::move(vocabulary));
  if (keys.Has(kGgufChatTemplateKey)) {
    builder.SetChatTemplate(keys.TextOr(kGgufChatTemplateKey, ""));
  }
  for (Part& part : parts) {
    int index = builder.AddFile(part.file, part.gguf.header_bytes());
    AddTensors(part.gguf, index, builder);
  }
  return builder.Finish();
}

}  // namespace moescope::files
