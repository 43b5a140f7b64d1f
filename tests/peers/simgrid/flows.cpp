// Asks SimGrid's fluid network model when independent transfers finish. A peer for tests; netsim does not need it.
//
// stdin:  L, then the L link bandwidths in bytes/s; F, then for each transfer: begin (s), bytes, k, and its k links.
// stdout: F lines, the second at which each transfer is over.
//
// Links have no latency here: the caller adds a route's latency to the transfer's begin. Otherwise the peer would weigh
// the shares of transfers by their latencies, and netsim's model does not.
#include <cstddef>
#include <iomanip>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include <simgrid/s4u.hpp>

namespace s4u = simgrid::s4u;

namespace {

struct Transfer {
  double begin_s = 0;
  double nbytes = 0;
  double finish_s = 0;
  s4u::Host* from = nullptr;
  s4u::Host* to = nullptr;
};

std::vector<s4u::Link*> read_links(s4u::NetZone& zone) {
  std::size_t count = 0;
  std::cin >> count;
  std::vector<s4u::Link*> links;
  for (std::size_t i = 0; i < count; ++i) {
    double bytes_per_s = 0;
    std::cin >> bytes_per_s;
    links.push_back(zone.create_link("link" + std::to_string(i), bytes_per_s)->set_latency(0.0)->seal());
  }
  return links;
}

// Every transfer has two hosts of its own, so that the platform's routing has nothing to choose.
std::vector<Transfer> read_transfers(s4u::NetZone& zone, const std::vector<s4u::Link*>& links) {
  std::size_t count = 0;
  std::cin >> count;
  std::vector<Transfer> transfers(count);
  for (std::size_t i = 0; i < count; ++i) {
    Transfer& one = transfers[i];
    std::size_t hops = 0;
    std::cin >> one.begin_s >> one.nbytes >> hops;
    std::vector<s4u::LinkInRoute> route;
    for (std::size_t hop = 0; hop < hops; ++hop) {
      std::size_t link = 0;
      std::cin >> link;
      route.emplace_back(links.at(link));
    }
    one.from = zone.create_host("from" + std::to_string(i), 1e9);
    one.to = zone.create_host("to" + std::to_string(i), 1e9);
    zone.add_route(one.from->get_netpoint(), one.to->get_netpoint(), nullptr, nullptr, route, false);
  }
  return transfers;
}

}  // namespace

int main(int argc, char** argv) {
  s4u::Engine engine(&argc, argv);
  // Plain shared capacity: no TCP window, no weighting by latency, no reverse traffic, no lazy updates.
  for (const char* option : {"network/model:CM02", "network/crosstraffic:0", "network/TCP-gamma:0",
                             "network/weight-S:0", "network/optim:Full"})
    s4u::Engine::set_config(option);

  s4u::NetZone* zone = s4u::create_full_zone("world");
  const auto links = read_links(*zone);
  auto transfers = read_transfers(*zone, links);
  if (!std::cin) {
    std::cerr << "cannot read links and transfers\n";
    return 2;
  }
  zone->seal();

  for (Transfer& one : transfers)
    s4u::Actor::create("sender", one.from, [&one] {
      s4u::this_actor::sleep_until(one.begin_s);
      s4u::Comm::sendto(one.from, one.to, static_cast<uint64_t>(one.nbytes));
      one.finish_s = s4u::Engine::get_clock();
    });
  engine.run();

  std::cout << std::setprecision(std::numeric_limits<double>::max_digits10);
  for (const Transfer& one : transfers)
    std::cout << one.finish_s << '\n';
}
