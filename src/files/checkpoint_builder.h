// Collects the tensors that a reader found in its files, checks them against the configuration and
// hands back a complete Checkpoint or an error that names what is wrong.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "files/checkpoint.h"
#include "files/tensor_names.h"

namespace moescope::files {

// A tensor as the file describes it, before it has a meaning.
struct StoredTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // row-major, outermost first
  uint64_t offset = 0;
  uint64_t n_bytes = 0;
};

class CheckpointBuilder {
 public:
  // `names` must outlive the builder.
  CheckpointBuilder(std::string path, std::string format, const ModelConfig& config,
                    const NameScheme& names);

  const ModelConfig& config() const { return checkpoint_.config_; }
  // Returns the file's index. header_bytes: where the tensors begin, for the identity.
  int AddFile(std::shared_ptr<const RandomAccessFile> file, uint64_t header_bytes);
  // Throws Error(kBadInput) for a wrong shape, a layer or expert that the configuration does not
  // have, or a tensor seen before; kUnsupported for a name the layout does not know.
  void AddTensor(int file, const StoredTensor& tensor);
  void SetVocabulary(std::shared_ptr<const Vocabulary> vocabulary) {
    checkpoint_.vocabulary_ = std::move(vocabulary);
  }
  void SetChatTemplate(std::optional<std::string> source) {
    checkpoint_.chat_template_ = std::move(source);
  }
  // Why there is no vocabulary.
  void SetTokenizerNote(std::string note) { checkpoint_.tokenizer_note_ = std::move(note); }

  // Throws Error(kBadInput) when tensors are missing, naming the first and how many, or when the
  // vocabulary has more pieces than the embedding has rows.
  Checkpoint Finish();

 private:
  void Insert(TensorLocation location);
  void InsertExperts(TensorLocation location, Slicing slicing);
  void InsertQkv(TensorLocation location, bool transposed);
  void CheckComplete() const;

  Checkpoint checkpoint_;
  const NameScheme& names_;
};

}  // namespace moescope::files
