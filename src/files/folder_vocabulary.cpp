#include "files/folder_vocabulary.h"

#include <fmt/format.h>

#include "base/error.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

constexpr const char* kTokenizerName = "tokenizer.model";

}  // namespace

void AddFolderVocabulary(const Folder& folder, CheckpointBuilder& builder) {
  if (!folder.Has(kTokenizerName)) {
    builder.SetTokenizerNote(
        folder.Has("tokenizer.json")
            ? fmt::format("{} has no tokenizer.model; tokenizer.json is not read yet",
                          folder.path())
            : fmt::format("{} has no tokenizer.model", folder.path()));
    return;
  }
  try {
    builder.SetVocabulary(std::make_shared<const Vocabulary>(ParseSentencePieceModel(
        folder.ReadText(kTokenizerName, kMaxTokenizerModelBytes), folder.PathOf(kTokenizerName))));
  } catch (const Error& error) {
    // A model can be looked at, and run on token ids, with a tokenizer of another kind.
    if (error.kind() != ErrorKind::kUnsupported) throw;
    builder.SetTokenizerNote(error.what());
  }
}

}  // namespace moescope::files
