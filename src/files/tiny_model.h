// A Mixtral of a few kilobytes, written byte by byte for tests and fuzz targets: what the readers
// are shown before it is spoilt. It shares no code with the readers or the GGUF writer.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::files {

// Little-endian bytes appended one value at a time, remembering where each value began.
class ByteWriter {
 public:
  template <typename T>
  void Number(T value) {
    Mark(sizeof(T));
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void Text(std::string_view text) {
    Mark(text.size());
    bytes_.append(text);
  }
  // Bytes that are no field: tensor data, padding.
  void Raw(std::string_view bytes) { bytes_.append(bytes); }
  const std::string& bytes() const { return bytes_; }
  struct Field {
    size_t offset;
    size_t size;
  };
  const std::vector<Field>& fields() const { return fields_; }
  // A record is everything from here to the next one: a key with its value, a tensor's entry.
  struct Record {
    std::string name;
    size_t offset;
  };
  void BeginRecord(std::string_view name) {
    records_.push_back({std::string(name), bytes_.size()});
  }
  const std::vector<Record>& records() const { return records_; }

 private:
  void Mark(size_t size) { fields_.push_back({bytes_.size(), size}); }
  std::string bytes_;
  std::vector<Field> fields_;
  std::vector<Record> records_;
};

// 2 layers, 2 experts, top 1, model_dim 32, ffn_dim 32, 2 heads of 16, 1 kv head, vocabulary 261.
std::string TinyConfigJson();
// All tensors as BF16 in one file.
std::string TinySafetensors();
// SentencePiece BPE: <unk> <s> </s>, 256 bytes, "a", "b".
std::string TinyTokenizerModel();
// tokenizer.json of the same size: byte fallback, with Metaspace; and of bytes, with Llama 3's
// cuts.
std::string TinyTokenizerJson();
std::string TinyByteLevelJson();
// config.json, model.safetensors, tokenizer.model.
std::map<std::string, std::string> TinyFolder();
// The same model in Mistral's own layout: params.json, consolidated.safetensors, tokenizer.model.
std::string TinyParamsJson();
std::map<std::string, std::string> TinyConsolidatedFolder();
// The same in two shards with an index.
std::map<std::string, std::string> TinyShardedFolder();

// The same model as GGUF v3 with BF16 tensors, q and k rows interleaved, and where its header
// fields lie (tensor data is no field).
// Of more parts than one: part `part` (from 0) of the same model split by tensors.
ByteWriter TinyGguf(int part = 0, int n_parts = 1);

// One tensor of a safetensors file under construction.
struct TinyTensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};
std::string WriteSafetensors(const std::vector<TinyTensor>& tensors);
std::vector<TinyTensor> TinyTensors();

}  // namespace moescope::files
