#include "lab/folder_tokenizer.h"

#include <fmt/format.h>

#include <filesystem>

#include "files/folder.h"
#include "files/limits.h"
#include "files/sentencepiece_writer.h"

namespace moescope::lab {
namespace {

// Those that hold a tokenizer, and those that go with one.
constexpr const char* kTokenizers[] = {"tokenizer.model", "tokenizer.json", "vocab.json",
                                       "merges.txt"};
constexpr const char* kCompanions[] = {"tokenizer_config.json", "special_tokens_map.json",
                                       "added_tokens.json", "chat_template.jinja",
                                       "generation_config.json"};

FolderTokenizer CopiesFrom(const files::Folder& folder) {
  FolderTokenizer tokenizer;
  auto add = [&](const char* name) {
    if (!folder.Has(name)) return;
    tokenizer.files.push_back({name, folder.ReadText(name, files::kMaxTokenizerModelBytes)});
  };
  for (const char* name : kTokenizers) add(name);
  if (tokenizer.files.empty()) {
    tokenizer.note = fmt::format("{} has no tokenizer.model or tokenizer.json", folder.path());
  }
  for (const char* name : kCompanions) add(name);
  return tokenizer;
}

FolderTokenizer FromVocabulary(const files::Checkpoint& checkpoint) {
  if (checkpoint.vocabulary() == nullptr) return {{}, checkpoint.tokenizer_note()};
  if (checkpoint.vocabulary()->kind == files::TokenizerKind::kBpe) {
    return {{},
            "a byte-level vocabulary is not written as tokenizer.json; take that file from the "
            "model's own folder"};
  }
  return {{{"tokenizer.model", WriteSentencePieceModel(*checkpoint.vocabulary())}}, ""};
}

}  // namespace

FolderTokenizer TokenizerOf(const files::Checkpoint& checkpoint) {
  if (checkpoint.format() == "gguf") return FromVocabulary(checkpoint);
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path path = checkpoint.path();
  if (fs::is_directory(path, ignored)) return CopiesFrom(*files::OpenFolder(path.string()));
  if (!fs::is_regular_file(path, ignored)) return FromVocabulary(checkpoint);  // in memory
  const std::string folder = path.parent_path().string();
  return CopiesFrom(*files::OpenFolder(folder.empty() ? "." : folder));
}

}  // namespace moescope::lab
