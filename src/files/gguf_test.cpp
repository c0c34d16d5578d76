#include "files/gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/tensor/convert_rows.h"
#include "files/checkpoint.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

Checkpoint OpenBytes(const std::string& bytes) {
  return Checkpoint::Open(*MakeMemoryFolder("tiny", {{"tiny.gguf", bytes}}), "tiny.gguf");
}

std::string Fixture(const std::string& name) {
  const char* root = std::getenv("MOESCOPE_FIXTURES");
  return root == nullptr ? "" : std::string(root) + "/models/" + name;
}
#define SKIP_WITHOUT_FIXTURES() \
  if (Fixture("").empty()) GTEST_SKIP() << "skipped: no fixtures"

// The message of the refusal, with its kind in front; "accepted" if there was none.
std::string ErrorOf(const std::string& bytes) {
  try {
    OpenBytes(bytes);
  } catch (const Error& error) {
    return std::string(Name(error.kind())) + ": " + error.what();
  }
  return "accepted";
}

// The tiny file with the 4 bytes of a u32 key replaced.
std::string WithKey(const std::string& key, uint32_t value) {
  std::string bytes = TinyGguf().bytes();
  size_t at = bytes.find(key);
  EXPECT_NE(at, std::string::npos);
  std::memcpy(bytes.data() + at + key.size() + 4, &value, 4);
  return bytes;
}

std::vector<float> Values(const Checkpoint& checkpoint, const TensorLocation& location) {
  std::vector<std::byte> bytes(location.n_bytes);
  checkpoint.file(location.file).Read(location.offset, bytes);
  size_t n = 1;
  for (int64_t dimension : location.shape) n *= static_cast<size_t>(dimension);
  std::vector<float> values(n);
  DequantiseRow(location.dtype, bytes.data(), values);
  return values;
}

TEST(Gguf, ReadsConfigurationTensorsAndVocabulary) {
  Checkpoint gguf = OpenBytes(TinyGguf().bytes());
  Checkpoint folder = Checkpoint::Open(*MakeMemoryFolder("tiny", TinyFolder()), "");
  EXPECT_EQ(gguf.format(), "gguf");
  EXPECT_EQ(gguf.config().rope_layout, RopeLayout::kInterleaved);
  EXPECT_EQ(gguf.config().head_dim, 16);
  EXPECT_FALSE(gguf.config().tied_embeddings);
  EXPECT_EQ(gguf.vocabulary()->Identity(), folder.vocabulary()->Identity());
  ASSERT_EQ(gguf.tensors().size(), folder.tensors().size());
  for (const auto& [id, location] : folder.tensors()) {
    const TensorLocation& other = gguf.tensor(id);
    EXPECT_EQ(other.shape, location.shape);
    if (id.kind == TensorKind::kQuery || id.kind == TensorKind::kKey) continue;  // other row order
    EXPECT_EQ(Values(gguf, other), Values(folder, location)) << location.name;
  }
}

TEST(Gguf, NamesTheKeyOfAValueThatCannotBe) {
  struct Case {
    const char* key;
    uint32_t value;
  };
  const Case cases[] = {{"llama.expert_used_count", 0},      {"llama.expert_used_count", 3},
                        {"llama.block_count", 0xffffffff},   {"llama.block_count", 0},
                        {"llama.context_length", 0},         {"llama.expert_count", 0},
                        {"llama.embedding_length", 0},       {"llama.attention.head_count", 0},
                        {"tokenizer.ggml.bos_token_id", 261}};
  for (const Case& bad : cases) {
    std::string error = ErrorOf(WithKey(bad.key, bad.value));
    EXPECT_NE(error.find(bad.key), std::string::npos) << error;
    EXPECT_EQ(error.substr(0, 9), "bad input") << error;
  }
}

TEST(Gguf, RefusesAlignmentsThatAreNotPowersOfTwo) {
  for (uint32_t alignment : {0u, 4u, 24u, 8192u}) {
    EXPECT_EQ(ErrorOf(WithKey("general.alignment", alignment)).substr(0, 7), "corrupt");
  }
}

TEST(Gguf, RefusesTensorsPastTheEndOfTheFileNamingTheLast) {
  std::string bytes = TinyGguf().bytes();
  std::string error = ErrorOf(bytes.substr(0, bytes.size() - 100));
  EXPECT_EQ(error.substr(0, 7), "corrupt");
  EXPECT_NE(error.find("output.weight"), std::string::npos) << error;
  EXPECT_EQ(ErrorOf(bytes + std::string(64, 'x')).substr(0, 7), "corrupt");
}

TEST(Gguf, RefusesOtherArchitecturesByName) {
  std::string bytes = TinyGguf().bytes();
  bytes.replace(bytes.find("llama"), 5, "gamma");
  std::string error = ErrorOf(bytes);
  EXPECT_EQ(error.substr(0, 11), "unsupported");
  EXPECT_NE(error.find("gamma"), std::string::npos) << error;
}

TEST(Gguf, SaysWhichByteOrderAndVersionItReads) {
  std::string bytes = TinyGguf().bytes();
  bytes[4] = 0, bytes[7] = 3;
  EXPECT_NE(ErrorOf(bytes).find("big-endian"), std::string::npos);
  bytes[4] = 1, bytes[7] = 0;
  EXPECT_NE(ErrorOf(bytes).find("version 1"), std::string::npos);
  bytes[4] = 2;
  EXPECT_EQ(ErrorOf(bytes), "accepted");
}

TEST(Gguf, OpensWhatLlamaCppsConverterWrites) {
  SKIP_WITHOUT_FIXTURES();
  Checkpoint classic = Checkpoint::Open(Fixture("mixtral-classic"));
  for (const char* type : {"F32", "F16", "BF16", "Q8_0"}) {
    Checkpoint gguf = Checkpoint::Open(Fixture("gguf/mixtral-classic-") + type + ".gguf");
    EXPECT_EQ(gguf.vocabulary()->Identity(), classic.vocabulary()->Identity()) << type;
    ASSERT_EQ(gguf.tensors().size(), classic.tensors().size());
    EXPECT_EQ(Name(gguf.tensor({TensorKind::kUpProj, 2, 7}).dtype), type);
    EXPECT_EQ(gguf.tensor({TensorKind::kRouter, 1}).dtype, DType::kF32);
    if (std::string_view(type) != "F32") continue;
    for (const auto& [id, location] : classic.tensors()) {
      if (id.kind == TensorKind::kQuery || id.kind == TensorKind::kKey) continue;
      EXPECT_EQ(Values(gguf, gguf.tensor(id)), Values(classic, location)) << location.name;
    }
  }
}

TEST(Gguf, OpensOneTensorPerExpert) {
  SKIP_WITHOUT_FIXTURES();
  Checkpoint merged = Checkpoint::Open(Fixture("gguf/mixtral-classic-F16.gguf"));
  Checkpoint old = Checkpoint::Open(Fixture("gguf/mixtral-classic-old-style-F16.gguf"));
  EXPECT_EQ(old.tensor({TensorKind::kRouter, 0}).dtype, DType::kF16);
  TensorId id{TensorKind::kDownProj, 2, 5};
  EXPECT_EQ(Values(merged, merged.tensor(id)), Values(old, old.tensor(id)));
}

TEST(Gguf, OpensEveryMixtureOfTypesThatLlamaCppWrites) {
  SKIP_WITHOUT_FIXTURES();
  for (const char* type : {"IQ4_NL", "IQ4_XS", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K"}) {
    Checkpoint gguf = Checkpoint::Open(Fixture("gguf/mixtral-wide-") + type + ".gguf");
    const DType dtype = gguf.tensor({TensorKind::kGateProj, 1, 3}).dtype;
    EXPECT_EQ(Name(dtype).substr(0, 4), std::string_view(type).substr(0, 4));
  }
}

TEST(Gguf, KnowsTheBlocksOfEveryTypeOfOurs) {
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    const GgufTensorType& type = GgufTypeOf(dtype);
    EXPECT_EQ(type.name, Name(dtype));
    EXPECT_EQ(type.block_elements, static_cast<uint64_t>(Info(dtype).block_elements)) << type.name;
    EXPECT_EQ(type.block_bytes, static_cast<uint64_t>(Info(dtype).block_bytes)) << type.name;
    EXPECT_EQ(FindGgufTensorType(type.number), &type);
  }
  EXPECT_EQ(GgufTypeOf(DType::kMXFP4).number, 39u);
}

TEST(Gguf, NamesTheTypeOfATensorItDoesNotRead) {
  std::string bytes = TinyGguf().bytes();
  const std::string name = "token_embd.weight";
  // After the name: the number of dimensions, two of them, the type. I16 is as wide as BF16.
  bytes[bytes.find(name) + name.size() + 4 + 2 * 8] = 25;
  EXPECT_EQ(
      ErrorOf(bytes),
      "unsupported: cannot run this model: tiny/tiny.gguf: tensor 'token_embd.weight' is I16; "
      "supported are F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, "
      "IQ4_NL, IQ4_XS, BF16, MXFP4");
}

}  // namespace
}  // namespace moescope::files
