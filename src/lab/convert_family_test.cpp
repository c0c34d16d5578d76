// Every family through every format and type: the same values under the same roles.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/platform/file.h"
#include "base/tensor/convert_rows.h"
#include "files/gguf.h"
#include "files/safetensors.h"
#include "lab/convert.h"
#include "lab/convert_test_models.h"
#include "lab/rope_divisors.h"

namespace moescope::lab {
namespace {

using files::Checkpoint;
using files::ModelConfig;
using files::RopeScaling;
using files::TensorId;
using files::TensorKind;

class ConvertFamily : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "convert_family_test." + std::to_string(getpid());
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  Checkpoint ToGguf(const Checkpoint& source, DType dtype) const {
    ConvertToGguf(source, Path("t.gguf"), dtype);
    return Checkpoint::Open(Path("t.gguf"));
  }
  Checkpoint ToFolder(const Checkpoint& source, const SafetensorsOptions& options = {}) const {
    std::filesystem::remove_all(Path("folder"));
    ConvertToSafetensors(source, Path("folder"), options);
    return Checkpoint::Open(Path("folder"));
  }
  std::string directory_;
};

// Values after a stay in `dtype`, by the plain loops.
std::vector<float> Rounded(const std::vector<float>& values, DType dtype) {
  const DTypeInfo& info = Info(dtype);
  std::vector<std::byte> bytes(values.size() / static_cast<size_t>(info.block_elements) *
                               static_cast<size_t>(info.block_bytes));
  QuantiseRow(dtype, values, bytes.data());
  std::vector<float> rounded(values.size());
  DequantiseRow(dtype, bytes.data(), rounded);
  return rounded;
}

bool IsWide(TensorId id, const Checkpoint& checkpoint) {
  return checkpoint.tensor(id).shape.size() == 1 || id.kind == TensorKind::kRouter ||
         id.kind == TensorKind::kPositionEmbedding;
}

TEST_F(ConvertFamily, GgufHoldsTheValuesOfEveryFamilyInEveryType) {
  for (const FamilyModel& model : FamilyModels()) {
    const Checkpoint source = OpenInMemory(FolderOf(model, DType::kF32));
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
      const Checkpoint written = ToGguf(source, dtype);
      for (const auto& [id, location] : source.tensors()) {
        const bool wide = IsWide(id, source);
        EXPECT_EQ(written.tensor(id).dtype, wide ? DType::kF32 : dtype) << location.name;
        const std::vector<float> values = ValuesOf(source, location);
        EXPECT_EQ(ValuesInHalves(written, id), wide ? values : Rounded(values, dtype))
            << model.name << " " << Name(dtype) << " " << location.name;
      }
    }
  }
}

TEST_F(ConvertFamily, GgufHoldsTheConfigurationOfEveryFamily) {
  for (const FamilyModel& model : FamilyModels()) {
    const Checkpoint source = OpenInMemory(FolderOf(model, DType::kBF16));
    const Checkpoint written = ToGguf(source, DType::kF16);
    ModelConfig expected = source.config();
    // What the format changes: names, order of rows, float32, and Llama 3's scaling.
    if (model.name == "mistral") expected.architecture = "llama";
    expected.rope_layout = written.config().rope_layout;
    EXPECT_FLOAT_EQ(written.config().norm_eps, expected.norm_eps);
    expected.norm_eps = written.config().norm_eps;
    if (model.name == "llama") {
      expected.rope_scaling = {.kind = RopeScaling::Kind::kFactors};
      const std::vector<float> divisors =
          ValuesOf(written, written.tensor({TensorKind::kRopeFactors}));
      EXPECT_EQ(divisors, RopeDivisors(source.config()));
      EXPECT_EQ(divisors.front(), 1);
      EXPECT_EQ(divisors.back(), 8);
    }
    EXPECT_TRUE(written.config() == expected) << model.name;
  }
}

TEST_F(ConvertFamily, GgufNamesAndKeysAreLlamaCpps) {
  struct Wanted {
    const char* family;
    std::vector<const char*> keys, tensors;
    std::vector<const char*> absent_tensors;
  };
  const Wanted wanted[] = {
      {"mixtral",
       {"llama.expert_count", "llama.rope.freq_base", "llama.attention.sliding_window"},
       {"blk.1.ffn_gate_exps.weight", "blk.1.ffn_gate_inp.weight", "output.weight"},
       {}},
      {"llama",
       {"llama.rope.dimension_count", "llama.attention.layer_norm_rms_epsilon"},
       {"rope_freqs.weight", "blk.1.attn_q.bias", "blk.1.ffn_up.weight"},
       {"output.weight"}},
      {"gpt2",
       {"gpt2.attention.layer_norm_epsilon", "gpt2.context_length"},
       {"blk.1.attn_qkv.weight", "blk.1.attn_qkv.bias", "position_embd.weight", "output_norm.bias"},
       {"output.weight", "blk.1.attn_q.weight", "blk.1.attn_k.weight"}},
      {"olmoe",
       {"olmoe.expert_weights_norm"},
       {"blk.1.attn_q_norm.weight", "blk.1.ffn_down_exps.weight"},
       {}},
      {"qwen3-moe",
       {"qwen3moe.expert_feed_forward_length", "qwen3moe.expert_weights_norm",
        "qwen3moe.rope.scaling.type", "qwen3moe.rope.scaling.factor",
        "qwen3moe.rope.scaling.original_context_length"},
       {"blk.1.attn_k_norm.weight"},
       {}}};
  for (const Wanted& of_family : wanted) {
    for (const FamilyModel& model : FamilyModels()) {
      if (model.name != of_family.family) continue;
      ToGguf(OpenInMemory(FolderOf(model, DType::kF32)), DType::kF32);
    }
    const files::GgufFile file(OpenFile(Path("t.gguf")));
    auto has = [&file](std::string_view name) {
      return std::any_of(file.tensors().begin(), file.tensors().end(),
                         [name](const files::GgufTensor& tensor) { return tensor.name == name; });
    };
    for (const char* key : of_family.keys) EXPECT_NE(file.Find(key), nullptr) << key;
    for (const char* name : of_family.tensors) EXPECT_TRUE(has(name)) << name;
    for (const char* name : of_family.absent_tensors) EXPECT_FALSE(has(name)) << name;
  }
}

TEST_F(ConvertFamily, ThroughGgufAndBackEveryBitAndMemberIsTheSame) {
  for (const FamilyModel& model : FamilyModels()) {
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      const Checkpoint source = OpenInMemory(FolderOf(model, dtype));
      const Checkpoint back = ToFolder(ToGguf(source, dtype));
      EXPECT_TRUE(back.config() == source.config()) << model.name;
      const auto file = files::SafetensorsFile::Open(Path("folder/model.safetensors"));
      const std::vector<files::TinyTensor> tensors = TensorsOf(model, dtype);
      EXPECT_EQ(file.tensors().size(), tensors.size());
      for (const files::TinyTensor& tensor : tensors) {
        const files::SafetensorsTensor* found = file.Find(tensor.name);
        ASSERT_NE(found, nullptr) << tensor.name;
        EXPECT_EQ(found->dtype, tensor.dtype) << model.name << " " << tensor.name;
        EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
        std::string bytes(found->n_bytes, '\0');
        file.file().Read(found->offset, std::as_writable_bytes(std::span(bytes)));
        EXPECT_TRUE(bytes == tensor.bytes) << model.name << " " << tensor.name;
      }
    }
  }
}

TEST_F(ConvertFamily, AFolderBecomesTheSameFolder) {
  for (const FamilyModel& model : FamilyModels()) {
    const Checkpoint source = OpenInMemory(FolderOf(model, DType::kBF16));
    const Checkpoint written = ToFolder(source, {.dtype = DType::kF32});
    EXPECT_TRUE(written.config() == source.config()) << model.name;
    for (const auto& [id, location] : source.tensors()) {
      EXPECT_EQ(written.tensor(id).dtype, DType::kF32);
      EXPECT_EQ(ValuesOf(written, written.tensor(id)), ValuesOf(source, location))
          << model.name << " " << location.name;
    }
  }
}

TEST_F(ConvertFamily, EveryRotaryScalingGoesThroughGguf) {
  FamilyModel model = FamilyModels()[2];
  const size_t begin = model.config.find("{\"rope_type\""), end = model.config.find('}', begin) + 1;
  for (const char* scaling :
       {"null", R"({"type": "linear", "factor": 2.5})",
        R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16})",
        R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
            "attention_factor": 1.5, "beta_fast": 16.0, "beta_slow": 2.0})",
        R"({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64})"}) {
    FamilyModel edited = model;
    edited.config.replace(begin, end - begin, scaling);
    const Checkpoint source = OpenInMemory(FolderOf(edited, DType::kF32));
    const RopeScaling& wanted = source.config().rope_scaling;
    const Checkpoint gguf = ToGguf(source, DType::kF32);
    const RopeScaling found = ToFolder(gguf).config().rope_scaling;
    EXPECT_EQ(found.kind, wanted.kind);
    EXPECT_EQ(found.factor, wanted.factor);
    EXPECT_EQ(found.original_context, wanted.original_context) << scaling;
    EXPECT_EQ(found.beta_fast, wanted.beta_fast);
    EXPECT_EQ(found.beta_slow, wanted.beta_slow);
    EXPECT_NEAR(found.attention_factor, wanted.attention_factor, 1e-7);
    // GGUF to GGUF: the tensor of divisors is passed on.
    ConvertToGguf(gguf, Path("again.gguf"), DType::kF32);
    EXPECT_TRUE(ReadWholeFile(Path("again.gguf"), 1 << 24) ==
                ReadWholeFile(Path("t.gguf"), 1 << 24));
  }
}

TEST_F(ConvertFamily, AScalingThatTheOutputCannotSayIsRefused) {
  FamilyModel model = FamilyModels()[2];
  auto kind_of = [&](const auto& convert) {
    try {
      convert();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInternal;
  };
  FamilyModel strange = model;  // a bound that no published model has, and a pair it blends
  auto set = [&strange](const std::string& from, const std::string& to) {
    strange.config.replace(strange.config.find(from), from.size(), to);
  };
  set("\"low_freq_factor\": 1.0", "\"low_freq_factor\": 1.3");
  set("embeddings\": 32", "embeddings\": 64");
  const Checkpoint gguf = ToGguf(OpenInMemory(FolderOf(strange, DType::kF32)), DType::kF32);
  EXPECT_EQ(kind_of([&] { ToFolder(gguf); }), ErrorKind::kUnsupported);
  FamilyModel whole = model;
  const std::string llama3 = "\"rope_type\": \"llama3\"";
  whole.config.replace(whole.config.find(llama3), llama3.size(),
                       "\"rope_type\": \"yarn\", \"truncate\": false");
  const Checkpoint source = OpenInMemory(FolderOf(whole, DType::kF32));
  EXPECT_EQ(kind_of([&] { ToGguf(source, DType::kF32); }), ErrorKind::kUnsupported);
}

TEST_F(ConvertFamily, MatricesOfSeveralBuffersComeThroughTransposition) {
  // c_attn has 1,024 x 3,072 floats, 12.6 MB: its parts are gone through in two passes.
  FamilyModel model = FamilyModels()[3];
  auto set = [&model](const std::string& from, const std::string& to) {
    model.config.replace(model.config.find(from), from.size(), to);
  };
  set("\"n_embd\": 32", "\"n_embd\": 1024");
  set("\"n_layer\": 2", "\"n_layer\": 1");
  std::vector<files::TinyTensor> tensors;
  for (files::TinyTensor& tensor : TensorsOf(FamilyModels()[3], DType::kF32)) {
    if (tensor.name.find(".h.1.") != std::string::npos) continue;
    uint64_t n = 1;
    for (int64_t& dimension : tensor.shape) {
      if (dimension >= 32) dimension *= 32;
      n *= static_cast<uint64_t>(dimension);
    }
    std::vector<float> values(n);
    for (uint64_t i = 0; i < n; ++i) values[i] = static_cast<float>(i % 16'777'213);
    tensor.bytes.assign(reinterpret_cast<const char*>(values.data()), n * sizeof(float));
    tensors.push_back(std::move(tensor));
  }
  const Checkpoint source = OpenInMemory(
      {{"config.json", model.config}, {"model.safetensors", files::WriteSafetensors(tensors)}});
  ToFolder(ToGguf(source, DType::kF32));
  const auto file = files::SafetensorsFile::Open(Path("folder/model.safetensors"));
  for (const files::TinyTensor& tensor : tensors) {
    std::string bytes(file.Find(tensor.name)->n_bytes, '\0');
    file.file().Read(file.Find(tensor.name)->offset, std::as_writable_bytes(std::span(bytes)));
    EXPECT_TRUE(bytes == tensor.bytes) << tensor.name;
  }
}

}  // namespace
}  // namespace moescope::lab
