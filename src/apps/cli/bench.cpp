// `moescope bench`: this machine's limits, and how near to them the engine comes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/profile_options.h"
#include "base/error.h"
#include "base/units.h"
#include "engine/model/kv_cache.h"
#include "lab/bench.h"
#include "lab/shape_model.h"

namespace moescope::cli {
namespace {

using nlohmann::ordered_json;

// By weight type.
ordered_json Int8Json(const engine::MachineLimits& machine) {
  ordered_json json;
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (machine.Int8Gops(dtype) > 0) json[std::string(Name(dtype))] = machine.Int8Gops(dtype);
  }
  return json;
}

std::string TypesWithPeak(const engine::MachineLimits& machine, double gops) {
  std::vector<std::string_view> names;
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (machine.Int8Gops(dtype) == gops) names.push_back(Name(dtype));
  }
  return fmt::format("{}", fmt::join(names, " "));
}

ordered_json MachineJson(const lab::BenchResult& result) {
  const engine::MachineLimits& machine = result.machine;
  ordered_json json = {{"cpu", machine.cpu},
                       {"threads", machine.n_threads},
                       {"level", Name(machine.level)},
                       {"dram_gb_per_s", machine.dram_gb_per_s},
                       {"disk_gb_per_s", result.disk_gb_per_s},
                       {"fp32_gflops", machine.fp32_gflops},
                       {"int8_gops", Int8Json(machine)}};
  if (machine.amx_gflops > 0) json["amx_gflops"] = machine.amx_gflops;
  return json;
}

ordered_json SpreadJson(const lab::Spread& spread) {
  return {{"min", spread.min}, {"median", spread.median}, {"max", spread.max}};
}

void PrintJson(const lab::BenchResult& result, const std::vector<lab::ProfileRow>& profile) {
  ordered_json rows = ordered_json::array();
  for (const lab::BenchRow& row : result.rows) {
    ordered_json json = {{"what", row.what},
                         {"type", row.type},
                         {"level", row.level},
                         {"precision", row.precision},
                         {"streams", row.n_streams},
                         {"tokens", row.n_tokens},
                         {"tokens_per_s", SpreadJson(row.tokens_per_s)},
                         {"checked", row.checked}};
    if (!row.kv.empty()) json["kv"] = row.kv;
    if (!row.limit.empty()) {
      json["limit"] = row.limit;
      json["share_of_limit"] = row.share_of_limit;
    } else {
      json["overhead"] = row.wall_ratio.median - 1;
      json["cpu_ratio"] = SpreadJson(row.cpu_ratio);
      json["wall_ratio"] = SpreadJson(row.wall_ratio);
    }
    if (row.streamed) {
      json["disk_bytes_per_run"] = row.disk_bytes_per_run;
      json["disk_gb_per_s"] = row.disk_gb_per_s;
      json["hit_ratio"] = row.hit_ratio;
    }
    rows.push_back(json);
  }
  ordered_json json = {{"machine", MachineJson(result)}, {"rows", rows}};
  if (!result.rows.empty()) json["peak_memory_bytes"] = result.peak_memory_bytes;
  if (!profile.empty()) json["profile"] = ProfileJson(profile);
  fmt::print("{}\n", json.dump(2));
}

// "x1.034 (1.029 to 1.041)"
std::string Ratio(const lab::Spread& spread) {
  return fmt::format("x{:.3f} ({:.3f} to {:.3f})", spread.median, spread.min, spread.max);
}

void PrintText(const lab::BenchResult& result, const std::vector<lab::ProfileRow>& profile) {
  const engine::MachineLimits& machine = result.machine;
  fmt::print("{}, {} threads, {} kernels\n", machine.cpu, machine.n_threads, Name(machine.level));
  fmt::print("DRAM read   {:8.1f} GB/s\nfp32 FMA    {:8.1f} GFLOPS\n", machine.dram_gb_per_s,
             machine.fp32_gflops);
  fmt::print("disk read   {:8.2f} GB/s\n", result.disk_gb_per_s);
  for (const auto& peak : machine.int8) {
    fmt::print("int8        {:8.1f} GOPS     {}\n", peak.gops, TypesWithPeak(machine, peak.gops));
  }
  if (machine.amx_gflops > 0) fmt::print("AMX bf16    {:8.1f} GFLOPS\n", machine.amx_gflops);
  if (result.rows.empty()) return;
  fmt::print("\n{:<15} {:<6} {:<7} {:<9} {:>7} {:>8} {:>27}  {}\n", "what", "type", "level",
             "precision", "streams", "tokens", "tokens/s min median max", "share");
  for (const lab::BenchRow& row : result.rows) {
    std::string share = row.limit.empty()
                            ? fmt::format("of the bare sweep: CPU time {}, wall time {}",
                                          Ratio(row.cpu_ratio), Ratio(row.wall_ratio))
                            : fmt::format("{:.1f} % of {}", 100 * row.share_of_limit,
                                          row.limit == "dram"   ? "DRAM bandwidth"
                                          : row.limit == "disk" ? "disk rate"
                                                                : row.limit + " peak");
    if (row.streamed) {
      share += fmt::format(", {:.2f} GB/s from disk, {} a run, {:.1f} % hits", row.disk_gb_per_s,
                           FormatBytes(row.disk_bytes_per_run), 100 * row.hit_ratio);
    }
    fmt::print("{:<15} {:<6} {:<7} {:<9} {:>7} {:>8} {:>9.1f} {:>8.1f} {:>8.1f}  {} ({})\n",
               row.what, row.type, row.level, row.precision, row.n_streams,
               FormatCount(static_cast<uint64_t>(row.n_tokens)), row.tokens_per_s.min,
               row.tokens_per_s.median, row.tokens_per_s.max, share, row.checked);
  }
  if (!profile.empty()) fmt::print("\n{}", FormatProfile(profile));
}

DType ParseType(const std::string& name) {
  const std::optional<DType> type = FindDType(name);
  if (!type) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--type: expected a type such as Q4_K or BF16, found '{}'", name));
  }
  return *type;
}

// $XDG_CACHE_HOME/moescope, or the same in the home directory.
std::string CacheFolder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return std::string(cache) + "/moescope";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "/tmp") + "/.cache/moescope";
}

}  // namespace

std::function<void()> AddBench(CLI::App& app) {
  struct Options {
    lab::BenchOptions bench;
    lab::ShapeModelOptions shape;
    std::string memory, type = "Q4_K", cache;
    std::string precision = "exact", weights = "mapped", kv = "f32";
    ProfileOptions profile;
    bool machine_only = false;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  lab::BenchOptions& bench = options->bench;
  app.add_flag("--machine", options->machine_only, "only what the machine can do");
  app.add_option("-m,--model", bench.model, "checkpoint")
      ->default_str("demo/demo-mixtral-Q8_0.gguf");
  app.add_option("--shape", options->shape.shape,
                 fmt::format("random weights of this shape instead, made once: {}",
                             fmt::join(lab::ShapeNames(), ", ")))
      ->excludes("--model");
  app.add_option("--layers", options->shape.n_layers, "layers of the shape; 0: all")
      ->needs("--shape")
      ->capture_default_str();
  app.add_option("--type", options->type, "type of the shape's matrices")
      ->needs("--shape")
      ->capture_default_str();
  app.add_option("--cache", options->cache, "where models of a shape are kept")
      ->default_str(CacheFolder());
  app.add_option("--precision", options->precision, "exact or fast")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  app.add_option("--kv", options->kv, "type of keys and values of prefill and decode")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}))
      ->capture_default_str();
  app.add_option("--weights", options->weights, "how weights reach memory")
      ->check(CLI::IsMember({"mapped", "read"}))
      ->capture_default_str();
  app.add_option("--what", bench.what, "sweep, prefill, decode, trace_overhead")->delimiter(',');
  app.add_option("--tokens", bench.n_tokens,
                 "tokens of one run (default: 16,384; of a prefill 512, decoded 64)")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--streams", bench.streams,
                 "sequences decoded side by side, such as 1,32: a row of decode each; tokens/s are "
                 "those of all")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--experts-per-token", bench.experts_per_token,
                 "of prefill and decode, other than the model's own")
      ->check(CLI::Range(1, 4096));
  app.add_option("--prompt", bench.prompt_tokens, "tokens of a stream before those decoded")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--chunk", bench.chunk, "tokens of a sequence")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  app.add_option("--runs", bench.n_runs, "runs of each row; of trace_overhead pairs")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--memory", options->memory, "memory to use, such as 96M or 2G");
  app.add_option("-t,--threads", bench.n_threads, "threads (default: one a core)")
      ->check(CLI::Range(1, 1024));
  AddProfileOptions(app, options->profile);
  app.add_flag("--json", options->json, "print JSON");
  return [options] {
    lab::BenchOptions& chosen = options->bench;
    lab::BenchResult result;
    std::vector<lab::ProfileRow> profile_rows;
    if (options->machine_only) {
      result = lab::BenchMachine(chosen.n_threads);
    } else {
      chosen.precision = engine::ParsePrecision(options->precision);
      chosen.kv = engine::ParseKvType(options->kv);
      chosen.read_weights = options->weights == "read";
      if (!options->shape.shape.empty()) {
        options->shape.dtype = ParseType(options->type);
        chosen.model = lab::MakeShapeModel(options->shape,
                                           options->cache.empty() ? CacheFolder() : options->cache);
      }
      if (chosen.model.empty()) chosen.model = "demo/demo-mixtral-Q8_0.gguf";
      if (chosen.what.empty()) chosen.what = {"sweep"};
      if (!options->memory.empty()) chosen.memory_bytes = ParseBytes(options->memory);
      const auto profile = options->profile.Make(chosen.n_threads);
      chosen.profile = profile.get();
      result = lab::Bench(chosen);
      if (profile && options->profile.print) {
        profile_rows = lab::SummariseProfile(*profile, files::Checkpoint::Open(chosen.model),
                                             chosen.precision, result.machine);
      }
      if (profile && !options->profile.timeline.empty()) {
        lab::WriteTimeline(*profile, options->profile.timeline);
      }
    }
    options->json ? PrintJson(result, profile_rows) : PrintText(result, profile_rows);
  };
}

}  // namespace moescope::cli
