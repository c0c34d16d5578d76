// Progress inside a wave: its rows, layer by layer, on the bar.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "base/progress.h"
#include "routing/probe.h"

namespace moescope::lab {

class ProgressProbe : public routing::Probe {
 public:
  // total: rows times layers of all waves.
  ProgressProbe(std::string title, uint64_t total)
      : bar_(std::move(title), total, "token-layers") {}
  uint32_t sites() const override { return routing::kSiteDecision; }
  void OnDecision(const routing::DecisionBatch& batch) override {
    const std::lock_guard lock(mutex_);
    done_ += batch.rows.size();
    bar_.Update(done_);
  }

 private:
  std::mutex mutex_;
  uint64_t done_ = 0;
  ProgressBar bar_;
};

}  // namespace moescope::lab
