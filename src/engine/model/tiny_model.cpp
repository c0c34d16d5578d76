#include "engine/model/tiny_model.h"

#include <stdlib.h>

#include <cmath>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "base/tensor/convert_rows.h"
#include "files/safetensors.h"

namespace moescope::engine {
namespace {

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
};

std::vector<Tensor> TensorsOf(const files::ModelConfig& c) {
  const int64_t query = int64_t{c.n_heads} * c.head_dim, kv = int64_t{c.n_kv_heads} * c.head_dim;
  std::vector<Tensor> tensors = {{"model.embed_tokens.weight", {c.vocab_size, c.model_dim}},
                                 {"model.norm.weight", {c.model_dim}},
                                 {"lm_head.weight", {c.vocab_size, c.model_dim}}};
  for (int layer = 0; layer < c.n_layers; ++layer) {
    const std::string base = "model.layers." + std::to_string(layer) + ".";
    const std::string moe = base + "block_sparse_moe.";
    tensors.push_back({base + "input_layernorm.weight", {c.model_dim}});
    tensors.push_back({base + "post_attention_layernorm.weight", {c.model_dim}});
    tensors.push_back({base + "self_attn.q_proj.weight", {query, c.model_dim}});
    tensors.push_back({base + "self_attn.k_proj.weight", {kv, c.model_dim}});
    tensors.push_back({base + "self_attn.v_proj.weight", {kv, c.model_dim}});
    tensors.push_back({base + "self_attn.o_proj.weight", {c.model_dim, query}});
    tensors.push_back({moe + "gate.weight", {c.n_experts, c.model_dim}});
    for (int expert = 0; expert < c.n_experts; ++expert) {
      const std::string prefix = moe + "experts." + std::to_string(expert) + ".";
      tensors.push_back({prefix + "w1.weight", {c.ffn_dim, c.model_dim}});
      tensors.push_back({prefix + "w2.weight", {c.model_dim, c.ffn_dim}});
      tensors.push_back({prefix + "w3.weight", {c.ffn_dim, c.model_dim}});
    }
  }
  return tensors;
}

std::string ConfigJson(const files::ModelConfig& c) {
  std::ostringstream out;
  out << "{\"architectures\": [\"MixtralForCausalLM\"], \"model_type\": \"mixtral\""
      << ", \"hidden_act\": \"silu\", \"hidden_size\": " << c.model_dim
      << ", \"num_hidden_layers\": " << c.n_layers << ", \"num_attention_heads\": " << c.n_heads
      << ", \"num_key_value_heads\": " << c.n_kv_heads << ", \"head_dim\": " << c.head_dim
      << ", \"intermediate_size\": " << c.ffn_dim << ", \"vocab_size\": " << c.vocab_size
      << ", \"max_position_embeddings\": " << c.context
      << ", \"num_local_experts\": " << c.n_experts
      << ", \"num_experts_per_tok\": " << c.experts_per_token
      << ", \"rms_norm_eps\": " << c.norm_eps << ", \"rope_theta\": " << c.rope_theta
      << ", \"tie_word_embeddings\": false, \"bos_token_id\": 1, \"eos_token_id\": 2}";
  return out.str();
}

std::vector<float> RandomValues(const Tensor& tensor, int64_t n, std::mt19937& random) {
  // Norms near one; rows of matrices of length one or so, routers sharper.
  const bool norm = tensor.shape.size() == 1;
  const bool router = tensor.name.find("moe.gate") != std::string::npos;
  const double spread = norm ? 0.2 : (router ? 3 : 1.5) / std::sqrt(tensor.shape.back());
  std::normal_distribution<double> normal(norm ? 1 : 0, spread);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = static_cast<float>(normal(random));
  return values;
}

std::string TemporaryFolder() {
  const char* base = getenv("TMPDIR");
  std::string path = std::string(base ? base : "/tmp") + "/moescope_tiny_XXXXXX";
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp " + path);
  return path;
}

}  // namespace

files::ModelConfig OddTinyConfig() {
  files::ModelConfig config;
  config.architecture = "mixtral";
  config.model_dim = 42;
  config.n_layers = 3;
  config.n_heads = 6;
  config.n_kv_heads = 3;
  config.head_dim = 10;
  config.ffn_dim = 77;
  config.vocab_size = 131;
  config.context = 512;
  config.n_experts = 7;
  config.experts_per_token = 3;
  config.norm_eps = 1e-5;
  config.rope_theta = 10000;
  return config;
}

std::string WriteTinyModel(const files::ModelConfig& config, DType dtype, uint32_t seed) {
  const std::string folder = TemporaryFolder();
  std::ofstream(folder + "/config.json") << ConfigJson(config);

  std::mt19937 random(seed);
  std::ostringstream header;
  std::string data;
  header << "{";
  for (const Tensor& tensor : TensorsOf(config)) {
    int64_t n = 1;
    for (int64_t dim : tensor.shape) n *= dim;
    const std::vector<float> values = RandomValues(tensor, n, random);
    const size_t begin = data.size();
    data.resize(begin + RowBytes(dtype, static_cast<uint64_t>(n)).value());
    QuantiseRow(dtype, values, reinterpret_cast<std::byte*>(data.data() + begin));
    header << (begin == 0 ? "" : ",") << "\"" << tensor.name << "\":{\"dtype\":\"" << Name(dtype)
           << "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      header << (i == 0 ? "" : ",") << tensor.shape[i];
    }
    header << "],\"data_offsets\":[" << begin << "," << data.size() << "]}";
  }
  header << "}";
  std::string text = header.str();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  std::ofstream out(folder + "/model.safetensors", std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), sizeof(length));
  out << text << data;
  if (!out) throw std::runtime_error("cannot write " + folder);
  return folder;
}

void PatchTensor(const std::string& model_path, const std::string& tensor, int64_t element,
                 float value) {
  const std::string path = model_path + "/model.safetensors";
  const files::SafetensorsFile file = files::SafetensorsFile::Open(path);
  const files::SafetensorsTensor* found = file.Find(tensor);
  if (found == nullptr) throw std::runtime_error("no tensor " + tensor);
  const bool f32 = found->dtype == "F32";
  const uint64_t width = f32 ? 4 : 2;
  const uint16_t bits = F32ToBF16(value);
  std::fstream out(path, std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(static_cast<std::streamoff>(found->offset + static_cast<uint64_t>(element) * width));
  out.write(f32 ? reinterpret_cast<const char*>(&value) : reinterpret_cast<const char*>(&bits),
            static_cast<std::streamsize>(width));
  if (!out) throw std::runtime_error("cannot patch " + path);
}

}  // namespace moescope::engine
