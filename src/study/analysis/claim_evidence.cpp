#include "study/analysis/claim_evidence.h"

#include "base/error.h"

namespace moescope::study {

ClaimEvidence GatherEvidence(const store::Run& run, store::Database& database,
                             const RowColumns& rows, const std::vector<int>& layers,
                             std::vector<RepetitionCell> repetition,
                             const BootstrapOptions& bootstrap, ThreadPool& pool) {
  ClaimEvidence evidence;
  evidence.layers = layers;
  evidence.n_experts = run.description().n_experts;
  evidence.repetition = std::move(repetition);
  // An analysis refuses a run that lacks its data with a reason worth showing; a damaged file is
  // still the end.
  const auto add = [&](const char* figure, const auto& analyse) {
    try {
      analyse();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBadInput && error.kind() != ErrorKind::kNotFound) throw;
      evidence.absent.emplace_back(figure, error.what());
    }
  };
  const std::vector<int> all_layers = run.description().LayerNumbers();
  add("domains", [&] {
    DomainsOptions options;
    options.bootstrap = bootstrap;
    evidence.domains = DomainsTable(run, database, rows, layers, options, pool);
  });
  add("affinity", [&] {
    AffinityOptions options;
    options.bootstrap = bootstrap;
    evidence.affinity = AffinityTable(run, database, rows, all_layers, options, pool);
  });
  add("explained",
      [&] { evidence.explained = ExplainedTable(run, database, rows, layers, bootstrap, pool); });
  add("indentation", [&] {
    evidence.indentation = IndentationTable(run, database, rows, layers, bootstrap, pool);
  });
  add("words", [&] { evidence.words = WordTable(run, database, rows, layers, bootstrap, pool); });
  add("crosslayer", [&] {
    CrossLayerOptions options;
    options.bootstrap = bootstrap;
    evidence.cross_layer =
        CrossLayerTable(run, database, rows, ParseLayerPairs("", all_layers), options, pool);
  });
  return evidence;
}

}  // namespace moescope::study
