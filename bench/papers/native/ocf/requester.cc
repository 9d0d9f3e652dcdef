#include "requester.hpp"

#include <poll.h>

namespace papers {

using namespace socrypt::ocf;

Requester::Requester(std::unique_ptr<Driver> driver) : wake_(framework_.wakeFd()) {
  if (wake_ < 0) fail("no descriptor to be woken by");
  Policy policy = framework_.policy();
  policy.learn = false;
  framework_.setPolicy(policy);
  attach(framework_, std::move(driver));
}

void Requester::run(Op& op) {
  Op* one = &op;
  while (framework_.dispatch(&one, 1) != 1) fail("the framework takes no more");
  while (op.status == Status::Pending) {
    const double from = secondsNow();
    pollfd waited{wake_, POLLIN, 0};
    (void)::poll(&waited, 1, 1000);
    slept_ += secondsNow() - from;
    Op* done[4];
    (void)framework_.poll(done, 4);
  }
  if (op.status != Status::Ok) fail("a request failed: " + std::string(statusName(op.status)));
}

}  // namespace papers
