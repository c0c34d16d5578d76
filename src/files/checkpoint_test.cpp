#include "files/checkpoint.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "files/safetensors.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

using Contents = std::map<std::string, std::string>;

Checkpoint OpenContents(const Contents& contents, const std::string& name = "") {
  return Checkpoint::Open(*MakeMemoryFolder("tiny", contents), name);
}

// The error that opening gives, as "kind: message".
std::string ErrorOf(const Contents& contents, const std::string& name = "") {
  try {
    OpenContents(contents, name);
  } catch (const Error& error) {
    return std::string(Name(error.kind())) + ": " + error.what();
  }
  return "accepted";
}

void ExpectError(const std::string& error, std::string_view kind, std::string_view part) {
  EXPECT_EQ(error.substr(0, kind.size() + 1), std::string(kind) + ":") << error;
  EXPECT_NE(error.find(part), std::string::npos) << error;
}

// Fixtures of other implementations; empty without MOESCOPE_FIXTURES.
std::string FixtureModels() {
  const char* root = std::getenv("MOESCOPE_FIXTURES");
  return root == nullptr ? "" : std::string(root) + "/models/";
}
#define SKIP_WITHOUT_FIXTURES() \
  if (FixtureModels().empty()) GTEST_SKIP() << "skipped: no fixtures"

TEST(Checkpoint, FindsEveryTensorOfAFolder) {
  Checkpoint checkpoint = OpenContents(TinyFolder());
  EXPECT_EQ(checkpoint.format(), "safetensors");
  EXPECT_EQ(checkpoint.tensors().size(), 3u + 2 * (7 + 3 * 2));
  const TensorLocation& down = checkpoint.tensor({TensorKind::kDownProj, 1, 0});
  EXPECT_EQ(down.name, "model.layers.1.block_sparse_moe.experts.0.w2.weight");
  EXPECT_EQ(down.dtype, DType::kBF16);
  EXPECT_EQ(down.shape, (std::vector<int64_t>{32, 32}));
  ASSERT_NE(checkpoint.vocabulary(), nullptr);
  EXPECT_EQ(checkpoint.vocabulary()->pieces.size(), 261u);
}

TEST(Checkpoint, ShardsHoldTheSameBytesAsOneFile) {
  Checkpoint whole = OpenContents(TinyFolder());
  Checkpoint sharded = OpenContents(TinyShardedFolder());
  ASSERT_EQ(whole.tensors().size(), sharded.tensors().size());
  EXPECT_EQ(sharded.files().size(), 2u);
  for (const auto& [id, location] : whole.tensors()) {
    const TensorLocation& other = sharded.tensor(id);
    std::vector<std::byte> a(location.n_bytes), b(other.n_bytes);
    whole.file(location.file).Read(location.offset, a);
    sharded.file(other.file).Read(other.offset, b);
    EXPECT_EQ(a, b) << location.name;
  }
}

TEST(Checkpoint, AConfigurationAloneCanBeLookedAt) {
  Checkpoint checkpoint = OpenContents({{"config.json", TinyConfigJson()}});
  EXPECT_FALSE(checkpoint.has_weights());
  EXPECT_EQ(checkpoint.config().n_experts, 2);
  EXPECT_EQ(checkpoint.vocabulary(), nullptr);
  EXPECT_NE(checkpoint.tokenizer_note(), "");
  EXPECT_FALSE(OpenContents(TinyFolder(), "config.json").has_weights());
}

TEST(Checkpoint, IdentityFollowsContentAndNotPlace) {
  std::string identity = OpenContents(TinyFolder()).Identity();
  EXPECT_EQ(identity.size(), 16u);
  EXPECT_EQ(Checkpoint::Open(*MakeMemoryFolder("elsewhere", TinyFolder()), "").Identity(),
            identity);
  Contents changed = TinyFolder();
  changed["model.safetensors"].back() ^= 1;
  EXPECT_NE(OpenContents(changed).Identity(), identity);
  changed = TinyFolder();
  changed["config.json"].replace(changed["config.json"].find("10000.0"), 7, "10001.0");
  EXPECT_NE(OpenContents(changed).Identity(), identity);
}

TEST(Checkpoint, NamesTheFirstMissingFileAndTheFirstMissingTensor) {
  Contents contents = TinyShardedFolder();
  contents.erase("model-00002-of-00002.safetensors");
  ExpectError(ErrorOf(contents), "not found",
              "1 of 2 files are missing, the first is model-00002-of-00002.safetensors");
  std::vector<TinyTensor> tensors = TinyTensors();
  std::erase_if(tensors, [](const TinyTensor& t) {
    return t.name.find("layers.1.self_attn") != t.name.npos;
  });
  contents = TinyFolder();
  contents["model.safetensors"] = WriteSafetensors(tensors);
  ExpectError(ErrorOf(contents), "bad input",
              "4 of 29 tensors are missing, the first is 'model.layers.1.self_attn.q_proj.weight'");
}

TEST(Checkpoint, AFileWithoutTensorsIsNotAConfigurationAlone) {
  Contents contents = TinyFolder();
  contents["model.safetensors"] = WriteSafetensors({});
  ExpectError(ErrorOf(contents), "bad input", "29 of 29 tensors are missing");
  ExpectError(ErrorOf(contents, "model.safetensors"), "bad input", "29 of 29 tensors are missing");
}

TEST(Checkpoint, RefusesTensorsThatTheConfigurationDoesNotCallFor) {
  std::vector<TinyTensor> tensors = TinyTensors();
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", "BF16", {1}, "ab"});
  Contents contents = TinyFolder();
  contents["model.safetensors"] = WriteSafetensors(tensors);
  ExpectError(ErrorOf(contents), "unsupported", "q_proj.bias");
  tensors.back().name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  contents["model.safetensors"] = WriteSafetensors(tensors);
  EXPECT_EQ(ErrorOf(contents), "accepted");
  tensors.pop_back();
  tensors[0].shape = {32, 261};
  contents["model.safetensors"] = WriteSafetensors(tensors);
  ExpectError(ErrorOf(contents), "bad input", "calls for [261, 32], found [32, 261]");
}

TEST(Checkpoint, RefusesPicklesSayingWhatToDo) {
  Contents contents = {{"config.json", TinyConfigJson()}, {"pytorch_model.bin", "PK\x03\x04"}};
  ExpectError(ErrorOf(contents), "unsupported", "convert the model to safetensors");
  ExpectError(ErrorOf(contents, "pytorch_model.bin"), "unsupported",
              "convert the model to safetensors");
}

TEST(Checkpoint, AShardOutsideTheFolderIsRefused) {
  Contents contents = TinyShardedFolder();
  std::string& index = contents["model.safetensors.index.json"];
  index.replace(index.find("model-00001"), 11, "../../e-001");
  ExpectError(ErrorOf(contents), "corrupt", "../../e-001");
}

TEST(Checkpoint, OpensAnEntryOfTheHuggingFaceCache) {
  std::filesystem::path entry = std::filesystem::path(testing::TempDir()) / "models--a--b";
  std::filesystem::create_directories(entry / "refs");
  std::filesystem::create_directories(entry / "snapshots" / "0123abcd");
  std::ofstream(entry / "refs" / "main") << "0123abcd\n";
  std::ofstream(entry / "snapshots" / "0123abcd" / "config.json") << TinyConfigJson();
  EXPECT_EQ(Checkpoint::Open(entry.string()).config().n_experts, 2);
  std::ofstream(entry / "refs" / "main") << "../0123abcd";
  EXPECT_THROW(Checkpoint::Open(entry.string()), Error);
  std::filesystem::remove_all(entry);
}

TEST(Checkpoint, OpensTheFixtures) {
  SKIP_WITHOUT_FIXTURES();
  for (const char* name : {"mixtral-classic", "mixtral-bf16", "mixtral-top1", "mixtral-top3",
                           "mixtral-16experts", "demo-mixtral"}) {
    Checkpoint checkpoint = Checkpoint::Open(FixtureModels() + name);
    ASSERT_TRUE(checkpoint.has_weights()) << name;
    ASSERT_NE(checkpoint.vocabulary(), nullptr) << name;
    EXPECT_EQ(checkpoint.vocabulary()->pieces.size(),
              static_cast<size_t>(checkpoint.config().vocab_size));
    uint64_t elements = 0;
    for (const auto& [id, location] : checkpoint.tensors()) {
      elements += location.n_bytes / static_cast<uint64_t>(Info(location.dtype).block_bytes);
    }
    EXPECT_EQ(elements, CountParameters(checkpoint.config()).total) << name;
  }
}

TEST(Checkpoint, FusedExpertsAreTheClassicOnesSliceBySlice) {
  SKIP_WITHOUT_FIXTURES();
  Checkpoint classic = Checkpoint::Open(FixtureModels() + "mixtral-classic");
  Checkpoint fused = Checkpoint::Open(FixtureModels() + "mixtral-fused");
  ASSERT_EQ(classic.tensors().size(), fused.tensors().size());
  for (const auto& [id, location] : classic.tensors()) {
    const TensorLocation& other = fused.tensor(id);
    std::vector<std::byte> a(location.n_bytes), b(other.n_bytes);
    classic.file(location.file).Read(location.offset, a);
    fused.file(other.file).Read(other.offset, b);
    EXPECT_EQ(a, b) << location.name;
  }
}

}  // namespace
}  // namespace moescope::files
