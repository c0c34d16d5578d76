#include "study/analysis/for_each_layer.h"

#include "base/cancellation.h"
#include "base/progress.h"

namespace moescope::study {

void ForEachLayer(const std::string& title, const store::Run& run, store::Database& database,
                  const RowColumns& rows, const std::vector<int>& layers,
                  FunctionRef<void(const LayerColumns&)> visit) {
  RequireRoutes(run);
  ProgressBar progress(title, layers.size(), "layers");
  uint64_t n_done = 0;
  for (int layer : layers) {
    ThrowIfCancelled();
    progress.Update(n_done++);
    visit(LoadLayer(run, database, rows, layer));
  }
}

}  // namespace moescope::study
