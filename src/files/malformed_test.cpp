// Generated malformed files: every numeric header field with the values that break parsers, records
// and keys that are missing, doubled or of another type, and files cut anywhere. Each file must be
// refused with an Error that names it, or be a model in its own right:
//   - what was loaded passes a check that shares no code with the readers, and
//   - if the change cannot be seen in what was loaded, it was in a field that has no meaning to us.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <set>

#include "base/error.h"
#include "files/checkpoint.h"
#include "files/spoilt_json.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

using Contents = std::map<std::string, std::string>;

// Everything a reader can report, as text: two files with equal views are the same model to us.
std::string View(const Checkpoint& checkpoint) {
  const ModelConfig& c = checkpoint.config();
  std::string view = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}\n", c.architecture, c.model_dim,
      c.n_layers, c.n_heads, c.n_kv_heads, c.head_dim, c.ffn_dim, c.vocab_size, c.context,
      c.n_experts, c.experts_per_token, c.norm_eps, c.rope_theta, static_cast<int>(c.rope_layout),
      c.tied_embeddings, c.bos_id, c.eos_id);
  for (const auto& [id, location] : checkpoint.tensors()) {
    std::vector<std::byte> bytes(location.n_bytes);
    checkpoint.file(location.file).Read(location.offset, bytes);
    view += fmt::format("{} {} {} {} [{}] {:x}\n", static_cast<int>(id.kind), id.layer, id.expert,
                        Name(location.dtype), fmt::join(location.shape, ","),
                        XXH3_64bits(bytes.data(), bytes.size()));
  }
  view +=
      checkpoint.vocabulary() == nullptr ? "no vocabulary" : checkpoint.vocabulary()->Identity();
  return view;
}

// What a model must fulfil, written down once more, independently. Empty if it does.
std::string Inconsistency(const Checkpoint& checkpoint) {
  const ModelConfig& c = checkpoint.config();
  bool sane = c.n_layers >= 1 && c.n_layers <= 1024 && c.n_experts >= 1 && c.n_experts <= 4096 &&
              c.experts_per_token >= 1 && c.experts_per_token <= c.n_experts && c.n_kv_heads >= 1 &&
              c.n_heads % c.n_kv_heads == 0 && c.model_dim >= 1 && c.model_dim <= 65536 &&
              c.context >= 1 && c.context <= (1 << 24) && c.vocab_size >= 1 &&
              c.vocab_size <= (1 << 22) && c.head_dim >= 2 && c.head_dim % 2 == 0 &&
              c.ffn_dim >= 1 && std::isfinite(c.norm_eps) && c.norm_eps > 0 &&
              std::isfinite(c.rope_theta) && c.rope_theta > 0 && c.bos_id < c.vocab_size &&
              c.eos_id < c.vocab_size;
  if (!sane) return "configuration out of its limits";
  if (checkpoint.has_weights()) {
    if (checkpoint.tensors().size() !=
        3 + static_cast<size_t>(c.n_layers) * (7 + 3 * static_cast<size_t>(c.n_experts))) {
      return "number of tensors";
    }
    uint64_t elements = 0;
    std::vector<std::pair<uint64_t, uint64_t>> extents[8];
    for (const auto& [id, location] : checkpoint.tensors()) {
      uint64_t n = 1;
      for (int64_t dimension : location.shape) n *= static_cast<uint64_t>(dimension);
      uint64_t bytes = location.dtype == DType::kF32    ? 4 * n
                       : location.dtype == DType::kQ8_0 ? n / 32 * 34
                                                        : 2 * n;
      if (bytes != location.n_bytes) return "bytes of " + location.name;
      uint64_t size = checkpoint.file(location.file).size();
      if (location.offset > size || bytes > size - location.offset)
        return "end of " + location.name;
      if (c.tied_embeddings && id.kind == TensorKind::kOutputHead) continue;
      elements += n;
      extents[location.file].emplace_back(location.offset, location.offset + bytes);
    }
    if (elements != CountParameters(c).total) return "number of elements";
    for (auto& ranges : extents) {
      std::sort(ranges.begin(), ranges.end());
      for (size_t i = 1; i < ranges.size(); ++i) {
        if (ranges[i].first < ranges[i - 1].second) return "tensors overlap";
      }
    }
  }
  if (const Vocabulary* vocabulary = checkpoint.vocabulary().get()) {
    auto n = static_cast<int>(vocabulary->pieces.size());
    if (n < 1 || n > c.vocab_size) return "size of the vocabulary";
    if (vocabulary->unknown_id < 0 || vocabulary->unknown_id >= n || vocabulary->bos_id < -1 ||
        vocabulary->bos_id >= n || vocabulary->eos_id < -1 || vocabulary->eos_id >= n) {
      return "special ids";
    }
    for (const auto& piece : vocabulary->pieces) {
      if (!std::isfinite(piece.score)) return "scores";
    }
  }
  return "";
}

class MalformedFiles : public testing::Test {
 protected:
  // `meaningless`: the change may leave no trace in what is loaded.
  void Try(const std::string& what, const Contents& contents, const std::string& name,
           bool meaningless = false) {
    ++n_files_;
    auto start = std::chrono::steady_clock::now();
    try {
      Checkpoint checkpoint = Checkpoint::Open(*MakeMemoryFolder("hostile", contents), name);
      ++n_accepted_;
      std::string problem = Inconsistency(checkpoint);
      EXPECT_EQ(problem, "") << what;
      if (!meaningless) {
        EXPECT_TRUE(View(checkpoint) != original_) << what << " was ignored";
      }
    } catch (const Error& error) {
      bool expected_kind =
          error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kBadInput ||
          error.kind() == ErrorKind::kUnsupported || error.kind() == ErrorKind::kNotFound;
      EXPECT_TRUE(expected_kind) << what << ": " << error.what();
      EXPECT_NE(std::string(error.what()).find("hostile"), std::string::npos)
          << what << " names no file: " << error.what();
    }
    double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_LE(seconds, 1.0) << what;
    slowest_ = std::max(slowest_, seconds);
  }
  void SetOriginal(const Contents& contents, const std::string& name) {
    original_ = View(Checkpoint::Open(*MakeMemoryFolder("hostile", contents), name));
  }
  void TearDown() override {
    fmt::print("{} files: {} refused, {} another valid model; slowest {:.0f} ms\n", n_files_,
               n_files_ - n_accepted_, n_accepted_, 1000 * slowest_);
  }
  int n_files() const { return n_files_; }

 private:
  std::string original_;
  int n_files_ = 0;
  int n_accepted_ = 0;
  double slowest_ = 0;
};

std::string Overwritten(std::string bytes, size_t offset, size_t size, uint64_t value) {
  std::memcpy(bytes.data() + offset, &value, size);
  return bytes;
}

// The nasty values in a field of `size` bytes, those that change it.
std::vector<uint64_t> NastyValues(const std::string& bytes, size_t offset, size_t size) {
  std::set<uint64_t> values;
  uint64_t mask = size == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * size)) - 1;
  for (uint64_t value : kNastyValues) values.insert(value & mask);
  values.insert(uint64_t{1} << (8 * size - 1));
  uint64_t present = 0;
  std::memcpy(&present, bytes.data() + offset, size);
  values.erase(present);
  return {values.begin(), values.end()};
}

Contents Gguf(std::string bytes) {
  return {{"m.gguf", std::move(bytes)}};
}

// Keys that say nothing about the arithmetic or the text: the readers may ignore their values.
bool IsMeaninglessGgufKey(const std::string& key) {
  return key == "llama.rope.dimension_count";  // checked against head_dim, not kept
}

class GgufParts {
 public:
  GgufParts() : file_(TinyGguf()) {}
  const std::string& bytes() const { return file_.bytes(); }
  const std::vector<ByteWriter::Field>& fields() const { return file_.fields(); }
  // The record a byte belongs to.
  std::string RecordAt(size_t offset) const {
    std::string name;
    for (const auto& record : file_.records()) {
      if (record.offset <= offset) name = record.name;
    }
    return name;
  }
  size_t n_records() const { return file_.records().size() - 2; }  // without header and data
  const std::string& RecordName(size_t i) const { return file_.records()[i + 1].name; }
  bool IsTensor(size_t i) const { return RecordName(i).ends_with(".weight"); }
  // Leaves out record i or repeats it, and corrects the count and the padding: a well-formed file.
  std::string With(size_t i, bool repeated) const {
    const auto& records = file_.records();
    size_t begin = records[i + 1].offset, end = records[i + 2].offset, data = records.back().offset;
    std::string header = bytes().substr(0, begin);
    std::string record = bytes().substr(begin, end - begin);
    if (repeated) header += record + record;
    header += bytes().substr(end, data - end);
    size_t count_at = IsTensor(i) ? 8 : 16;
    uint64_t count = 0;
    std::memcpy(&count, header.data() + count_at, 8);
    count += repeated ? 1 : uint64_t{0} - 1;
    std::memcpy(header.data() + count_at, &count, 8);
    header.resize((header.size() + 31) / 32 * 32, '\0');
    return header + bytes().substr((data + 31) / 32 * 32);
  }

 private:
  ByteWriter file_;
};

TEST_F(MalformedFiles, GgufFieldsWithNastyValues) {
  GgufParts parts;
  SetOriginal(Gguf(parts.bytes()), "m.gguf");
  for (const ByteWriter::Field& field : parts.fields()) {
    if (field.size > 8 || field.size == 3 || field.size == 0) continue;
    bool number = field.size == 1 || field.size == 2 || field.size == 4 || field.size == 8;
    std::string record = parts.RecordAt(field.offset);
    if (!number || (record.starts_with("tokenizer.ggml.") && field.offset % 7 != 0)) continue;
    for (uint64_t value : NastyValues(parts.bytes(), field.offset, field.size)) {
      Try(fmt::format("{}@{} = {:#x}", record, field.offset, value),
          Gguf(Overwritten(parts.bytes(), field.offset, field.size, value)), "m.gguf",
          IsMeaninglessGgufKey(record));
    }
  }
  EXPECT_GE(n_files(), 2000);
}

TEST_F(MalformedFiles, GgufRecordsMissingAndTwice) {
  GgufParts parts;
  SetOriginal(Gguf(parts.bytes()), "m.gguf");
  // What the format gives these keys when they are absent is what the tiny file says.
  const std::set<std::string> defaults = {"general.alignment",
                                          "llama.vocab_size",
                                          "llama.rope.freq_base",
                                          "llama.rope.dimension_count",
                                          "tokenizer.ggml.bos_token_id",
                                          "tokenizer.ggml.eos_token_id",
                                          "tokenizer.ggml.unknown_token_id",
                                          "tokenizer.ggml.add_space_prefix"};
  for (size_t i = 0; i < parts.n_records(); ++i) {
    const std::string& name = parts.RecordName(i);
    Try("without " + name, Gguf(parts.With(i, false)), "m.gguf", defaults.contains(name));
    Try("twice " + name, Gguf(parts.With(i, true)), "m.gguf");
  }
}

TEST_F(MalformedFiles, GgufValuesOfAnotherType) {
  GgufParts parts;
  SetOriginal(Gguf(parts.bytes()), "m.gguf");
  for (size_t i = 0; i < parts.n_records(); ++i) {
    if (parts.IsTensor(i)) continue;
    const std::string& name = parts.RecordName(i);
    size_t type_at = parts.bytes().find(name) + name.size();
    for (uint32_t type = 0; type <= 13; ++type) {
      uint32_t present = 0;
      std::memcpy(&present, parts.bytes().data() + type_at, 4);
      if (type == present) continue;
      // A signed or float view of the same four bytes can be the same number.
      Try(fmt::format("{} of type {}", name, type),
          Gguf(Overwritten(parts.bytes(), type_at, 4, type)), "m.gguf", type == 4 || type == 5);
    }
  }
}

TEST_F(MalformedFiles, GgufCutAnywhere) {
  GgufParts parts;
  SetOriginal(Gguf(parts.bytes()), "m.gguf");
  std::set<size_t> cuts;
  for (const ByteWriter::Field& field : parts.fields()) cuts.insert(field.offset);
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) cuts.insert(random() % parts.bytes().size());
  for (size_t cut : cuts) {
    Try(fmt::format("cut at {}", cut), Gguf(parts.bytes().substr(0, cut)), "m.gguf");
  }
}

TEST_F(MalformedFiles, ConfigMembersWithNastyValues) {
  Contents contents = TinyFolder();
  SetOriginal(contents, "");
  // Not used, or what they say when absent or null is what the tiny file says.
  const std::set<std::string> meaningless = {
      "torch_dtype",    "architectures", "model_type",          "head_dim",
      "sliding_window", "hidden_act",    "tie_word_embeddings", "rms_norm_eps"};
  ForEachSpoiltMember(
      TinyConfigJson(), [](const Member&) { return true; },
      [&](const std::string& what, const Member& member, const std::string& spoilt) {
        contents["config.json"] = spoilt;
        bool same_id = what == "bos_token_id = [1]";  // a list of ids means its first
        Try("config " + what, contents, "", same_id || meaningless.contains(member.key));
      });
}

TEST_F(MalformedFiles, ParamsMembersWithNastyValues) {
  Contents contents = TinyConsolidatedFolder();
  SetOriginal(contents, "");
  // As in config.json; n_kv_heads and rope_theta have defaults that the tiny file does not say.
  const std::set<std::string> meaningless = {"head_dim", "norm_eps"};
  ForEachSpoiltMember(
      TinyParamsJson(), [](const Member&) { return true; },
      [&](const std::string& what, const Member& member, const std::string& spoilt) {
        contents["params.json"] = spoilt;
        Try("params " + what, contents, "", meaningless.contains(member.key));
      });
  for (size_t cut = 0; cut < TinyParamsJson().size(); ++cut) {
    contents["params.json"] = TinyParamsJson().substr(0, cut);
    Try(fmt::format("params cut at {}", cut), contents, "");
  }
}

TEST_F(MalformedFiles, SplitGgufWithNastyNumbers) {
  const std::string first = "m-00001-of-00002.gguf", second = "m-00002-of-00002.gguf";
  const ByteWriter parts[] = {TinyGguf(0, 2), TinyGguf(1, 2)};
  Contents contents = {{first, parts[0].bytes()}, {second, parts[1].bytes()}};
  SetOriginal(contents, first);
  for (int i : {0, 1}) {
    const std::string& bytes = parts[i].bytes();
    for (const char* key : {"split.no", "split.count", "split.tensors.count"}) {
      const size_t value = bytes.find(key) + std::string_view(key).size() + 4;
      const size_t size = std::string_view(key) == "split.tensors.count" ? 4 : 2;
      for (uint64_t nasty : NastyValues(bytes, value, size)) {
        Contents spoilt = contents;
        spoilt[i == 0 ? first : second] = Overwritten(bytes, value, size, nasty);
        // The number of tensors counts in the first part alone; one part needs no count.
        const bool allowed = i == 1 && std::string_view(key) == "split.tensors.count";
        Try(fmt::format("part {} {} = {:#x}", i, key, nasty), spoilt, first, allowed);
      }
    }
    Contents missing = contents;
    missing.erase(i == 0 ? first : second);
    Try(fmt::format("without part {}", i), missing, i == 0 ? second : first);
  }
}

TEST_F(MalformedFiles, ConfigCutAnywhere) {
  Contents contents = TinyFolder();
  SetOriginal(contents, "");
  for (size_t cut = 0; cut < TinyConfigJson().size(); ++cut) {
    contents["config.json"] = TinyConfigJson().substr(0, cut);
    Try(fmt::format("config cut at {}", cut), contents, "");
  }
}

// The tiny file with another header, its length corrected.
std::string WithHeader(const std::string& bytes, const std::string& header) {
  uint64_t old_length = 0;
  std::memcpy(&old_length, bytes.data(), 8);
  uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), 8);
  return out + header + bytes.substr(8 + old_length);
}

std::string HeaderOf(const std::string& bytes) {
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  return bytes.substr(8, length);
}

TEST_F(MalformedFiles, SafetensorsMembersWithNastyValues) {
  Contents contents = TinyFolder();
  const std::string original = contents["model.safetensors"];
  SetOriginal(contents, "");
  ForEachSpoiltMember(
      HeaderOf(original), [](const Member&) { return true; },
      [&](const std::string& what, const Member& member, const std::string& spoilt) {
        contents["model.safetensors"] = WithHeader(original, spoilt);
        bool metadata = member.key == "__metadata__" || member.key == "format";
        Try("header " + what, contents, "", metadata);
      });
  EXPECT_GE(n_files(), 3000);
}

TEST_F(MalformedFiles, SafetensorsDimensionsAndOffsets) {
  Contents contents = TinyFolder();
  const std::string original = contents["model.safetensors"];
  SetOriginal(contents, "");
  std::string header = HeaderOf(original);
  for (size_t at = 0; at < header.size(); ++at) {
    bool begins = std::isdigit(static_cast<unsigned char>(header[at])) != 0 &&
                  (header[at - 1] == '[' || header[at - 1] == ',');
    if (!begins) continue;
    size_t end = header.find_first_not_of("0123456789", at);
    for (const std::string& value : NastyJson()) {
      if (value == header.substr(at, end - at)) continue;
      contents["model.safetensors"] =
          WithHeader(original, header.substr(0, at) + value + header.substr(end));
      Try(fmt::format("header number at {} = {}", at, value), contents, "");
    }
  }
  for (uint64_t value : NastyValues(original, 0, 8)) {
    contents["model.safetensors"] = Overwritten(original, 0, 8, value);
    Try(fmt::format("header length = {}", value), contents, "");
  }
  EXPECT_GE(n_files(), 3000);
}

TEST_F(MalformedFiles, SafetensorsCutAnywhere) {
  Contents contents = TinyFolder();
  const std::string original = contents["model.safetensors"];
  SetOriginal(contents, "");
  std::set<size_t> cuts;
  size_t header_end = 8 + HeaderOf(original).size();
  for (size_t at = 0; at <= header_end; ++at) {
    if (at <= 16 || std::string_view("{}[],:").find(original[at]) != std::string_view::npos) {
      cuts.insert(at);
    }
  }
  std::mt19937 random(2);
  for (int i = 0; i < 1000; ++i) cuts.insert(random() % original.size());
  for (size_t cut : cuts) {
    contents["model.safetensors"] = original.substr(0, cut);
    Try(fmt::format("cut at {}", cut), contents, "");
  }
}

TEST_F(MalformedFiles, IndexMembersWithNastyValues) {
  Contents contents = TinyShardedFolder();
  const std::string original = contents["model.safetensors.index.json"];
  SetOriginal(contents, "");
  std::vector<std::string> others = {"\"model-00003-of-00002.safetensors\"",
                                     "\"../m.safetensors\"",
                                     "\"/etc/passwd\"",
                                     "\"\"",
                                     "\".\"",
                                     "\"config.json\"",
                                     "\"model-00001-of-00002.safetensors\"",
                                     "\"model-00002-of-00002.safetensors\""};
  auto use = [&](const std::string& what, const Member& member, const std::string& spoilt) {
    contents["model.safetensors.index.json"] = spoilt;
    Try("index " + what, contents, "", member.key == "metadata" || member.key == "total_size");
  };
  ForEachSpoiltMember(
      original, [](const Member&) { return true; }, use);
  for (const Member& member : Members(original)) {
    if (member.key == "metadata" || member.key == "total_size") continue;
    for (const std::string& value : others) {
      if (value == original.substr(member.value, member.end - member.value)) continue;
      use(member.key + " = " + value, member,
          original.substr(0, member.value) + value + original.substr(member.end));
    }
  }
  for (size_t cut = 0; cut < original.size(); ++cut) {
    contents["model.safetensors.index.json"] = original.substr(0, cut);
    Try(fmt::format("index cut at {}", cut), contents, "");
  }
}

// Every varint and fixed field of a protobuf whose sub-messages are fields 1 to 3 of the outer one.
struct ProtobufNumber {
  uint64_t field;  // of the innermost message
  size_t offset, size;
  bool varint;
  bool length;
};

void CollectNumbers(const std::string& bytes, size_t at, size_t end, bool nested,
                    std::vector<ProtobufNumber>& numbers) {
  auto varint = [&](size_t& position) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      auto byte = static_cast<uint8_t>(bytes[position++]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < end) {
    uint64_t key = varint(at);
    size_t begin = at;
    if ((key & 7) == 5) {
      numbers.push_back({key >> 3, begin, 4, false, false});
      at += 4;
      continue;
    }
    uint64_t value = varint(at);
    bool length = (key & 7) == 2;
    numbers.push_back({key >> 3, begin, at - begin, true, length});
    if (!length) continue;
    if (!nested) CollectNumbers(bytes, at, at + value, true, numbers);
    at += value;
  }
}

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}

TEST_F(MalformedFiles, TokenizerNumbersWithNastyValues) {
  Contents contents = TinyFolder();
  const std::string original = contents["tokenizer.model"];
  SetOriginal(contents, "");
  std::vector<ProtobufNumber> numbers;
  CollectNumbers(original, 0, original.size(), false, numbers);
  int n_used = 0;
  for (const ProtobufNumber& number : numbers) {
    bool piece = number.offset + 100 < original.size();
    if (piece && ++n_used > 60 && n_used % 16 != 0) continue;  // pieces are alike
    for (uint64_t value : kNastyValues) {
      std::string encoded =
          number.varint ? Varint(value) : std::string(reinterpret_cast<const char*>(&value), 4);
      std::string present = original.substr(number.offset, number.size);
      if (encoded == present) continue;
      contents["tokenizer.model"] = original.substr(0, number.offset) + encoded +
                                    original.substr(number.offset + number.size);
      // Without corrected outer lengths a longer varint shifts what follows: mostly refused. Same
      // length: the pad id and the declared vocabulary size have no meaning to us, a flag of any
      // nonzero value is true, a zero score is a zero with either sign.
      Try(fmt::format("field {} at {} = {}", number.field, number.offset, value), contents, "",
          !number.length);
    }
  }
  EXPECT_GE(n_files(), 1000);
}

TEST_F(MalformedFiles, TokenizerCutOrShifted) {
  Contents contents = TinyFolder();
  const std::string original = contents["tokenizer.model"];
  SetOriginal(contents, "");
  std::mt19937 random(3);
  for (int i = 0; i < 1000; ++i) {
    size_t cut =
        i < 100 ? original.size() - 1 - static_cast<size_t>(i) : random() % original.size();
    contents["tokenizer.model"] = original.substr(0, cut);
    Try(fmt::format("tokenizer cut at {}", cut), contents, "");
    std::string shifted = original;
    shifted.erase(cut, 1);
    contents["tokenizer.model"] = shifted;
    Try(fmt::format("tokenizer without byte {}", cut), contents, "");
  }
}

}  // namespace
}  // namespace moescope::files
