// Training traffic in SimGrid's S4U interface, for comparing times and speed. A peer for tests; netsim does not need it.
//
//   traffic ring N BYTES RATE LATENCY FACTOR           a ring all-reduce; worker 0's links run at FACTOR of the rate
//   traffic async N STEPS BYTES RATE LATENCY COMPUTE   each worker: compute, push to the one server, pull
//   traffic laps N STEPS BYTES RATE LATENCY COMPUTE EXTRA   the same, EXTRA more a step; all go on until the slowest is
//                                                           through its STEPS, which is the second that is printed
//   traffic server N BYTES RATE LATENCY                one synchronous push to a server, then the pull
//   traffic all_to_all N RACK BYTES RATE UPLINK LATENCY
//
// Rates in bytes/s, times in seconds. stdout: the simulated second at which everything is over.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <simgrid/s4u.hpp>

namespace s4u = simgrid::s4u;
using std::to_string;

namespace {

int token;

s4u::Mailbox* box(const std::string& name) { return s4u::Mailbox::by_name(name); }

s4u::Host* attach(s4u::NetZone* zone, const std::string& name, double rate, double latency) {
  auto* host = zone->create_host(name, 1e9);
  auto* out = zone->create_link("out-" + name, rate)->set_latency(latency / 2)->seal();
  auto* in = zone->create_link("in-" + name, rate)->set_latency(latency / 2)->seal();
  zone->add_route(host->get_netpoint(), nullptr, nullptr, nullptr, {s4u::LinkInRoute(out)}, false);
  zone->add_route(nullptr, host->get_netpoint(), nullptr, nullptr, {s4u::LinkInRoute(in)}, false);
  return host;
}

void ring(const std::vector<double>& a) {
  const int n = static_cast<int>(a[0]);
  const double part = a[1] / n;
  auto* zone = s4u::create_star_zone("switch");
  std::vector<s4u::Host*> hosts;
  for (int i = 0; i < n; ++i)
    hosts.push_back(attach(zone, to_string(i), i ? a[2] : a[2] * a[4], a[3]));
  zone->seal();
  for (int i = 0; i < n; ++i)
    s4u::Actor::create("worker", hosts[i], [i, n, part] {
      for (int round = 0; round < 2 * (n - 1); ++round) {
        auto sent = box(to_string((i + 1) % n))->put_async(&token, part);
        box(to_string(i))->get<int>();
        sent->wait();
      }
    });
}

void async(const std::vector<double>& a) {
  const int n = static_cast<int>(a[0]), steps = static_cast<int>(a[1]);
  auto* zone = s4u::create_star_zone("switch");
  auto* server = attach(zone, "server", a[3], a[4]);
  std::vector<s4u::Host*> hosts;
  for (int i = 0; i < n; ++i)
    hosts.push_back(attach(zone, to_string(i), a[3], a[4]));
  zone->seal();
  for (int i = 0; i < n; ++i) {
    auto *push = box("push" + to_string(i)), *pull = box("pull" + to_string(i));
    const double nbytes = a[2], compute = a[5] * (1 + double(i) / n);
    s4u::Actor::create("worker", hosts[i], [=] {
      for (int step = 0; step < steps; ++step) {
        s4u::this_actor::sleep_for(compute);
        push->put(&token, nbytes);
        pull->get<int>();
      }
    });
    s4u::Actor::create("port", server, [=] {
      for (int step = 0; step < steps; ++step) {
        push->get<int>();
        pull->put(&token, nbytes);
      }
    });
  }
}

double laps(s4u::Engine& engine, const std::vector<double>& a) {
  const int n = static_cast<int>(a[0]), steps = static_cast<int>(a[1]);
  auto* zone = s4u::create_star_zone("switch");
  auto* server = attach(zone, "server", a[3], a[4]);
  std::vector<s4u::Host*> hosts;
  for (int i = 0; i < n; ++i)
    hosts.push_back(attach(zone, to_string(i), a[3], a[4]));
  zone->seal();
  static int unfinished;
  static double end;
  unfinished = n;
  for (int i = 0; i < n; ++i) {
    auto *push = box("push" + to_string(i)), *pull = box("pull" + to_string(i));
    const double nbytes = a[2], compute = a[5] * (1 + double(i) / n) + a[6];
    s4u::Actor::create("worker", hosts[i], [=] {
      for (int step = 1; unfinished; ++step) {
        s4u::this_actor::sleep_for(compute);
        push->put(&token, nbytes);
        pull->get<int>();
        if (step == steps && !--unfinished) end = s4u::Engine::get_clock();
      }
    });
    s4u::Actor::create("port", server, [=] {
      for (;;) {
        push->get<int>();
        pull->put(&token, nbytes);
      }
    })->daemonize();
  }
  engine.run();
  return end;
}

void server(const std::vector<double>& a) {
  const int n = static_cast<int>(a[0]);
  auto* zone = s4u::create_star_zone("switch");
  auto* host = attach(zone, "server", a[2], a[3]);
  std::vector<s4u::Host*> hosts;
  for (int i = 0; i < n; ++i)
    hosts.push_back(attach(zone, to_string(i), a[2], a[3]));
  zone->seal();
  const double nbytes = a[1];
  s4u::Actor::create("server", host, [=] {
    std::vector<s4u::CommPtr> coming, going;
    std::vector<int*> got(n);
    for (int i = 0; i < n; ++i) coming.push_back(box("server")->get_async<int>(&got[i]));
    for (auto& one : coming) one->wait();
    for (int i = 0; i < n; ++i) going.push_back(box(to_string(i))->put_async(&token, nbytes));
    for (auto& one : going) one->wait();
  });
  for (int i = 0; i < n; ++i)
    s4u::Actor::create("worker", hosts[i], [=] {
      box("server")->put(&token, nbytes);
      box(to_string(i))->get<int>();
    });
}

// Sizes are spread by the golden ratio, so that no two transfers are over at the same time.
void all_to_all(const std::vector<double>& a) {
  const int n = static_cast<int>(a[0]), rack = static_cast<int>(a[1]);
  auto* world = s4u::create_full_zone("world");
  std::vector<s4u::NetZone*> zones;
  std::vector<simgrid::kernel::routing::NetPoint*> doors;
  std::vector<s4u::Link*> up, down;
  std::vector<s4u::Host*> hosts;
  for (int k = 0; k < n / rack; ++k) {
    auto* zone = s4u::create_star_zone("rack" + to_string(k));
    zone->set_parent(world);
    auto* door = zone->create_router("door" + to_string(k));
    zone->add_route(door, nullptr, nullptr, nullptr, {}, false);
    zone->add_route(nullptr, door, nullptr, nullptr, {}, false);
    for (int i = 0; i < rack; ++i)
      hosts.push_back(attach(zone, to_string(k * rack + i), a[3], a[5]));
    zone->seal();
    zones.push_back(zone);
    doors.push_back(door);
    up.push_back(world->create_link("up" + to_string(k), a[4])->seal());
    down.push_back(world->create_link("down" + to_string(k), a[4])->seal());
  }
  for (int k = 0; k < n / rack; ++k)
    for (int m = 0; m < n / rack; ++m)
      if (k != m)
        world->add_route(zones[k]->get_netpoint(), zones[m]->get_netpoint(), doors[k], doors[m],
                         {s4u::LinkInRoute(up[k]), s4u::LinkInRoute(down[m])}, false);
  world->seal();
  for (int i = 0; i < n; ++i) {
    s4u::Actor::create("sender", hosts[i], [=] {
      std::vector<s4u::CommPtr> sent;
      for (int j = 0; j < n; ++j) {
        const double spread = (double(i) * n + j) * 0.6180339887498949;
        if (j != i)
          sent.push_back(box(to_string(i) + ">" + to_string(j))->put_async(&token, a[2] / n * (0.5 + spread - std::floor(spread))));
      }
      for (auto& one : sent) one->wait();
    });
    s4u::Actor::create("receiver", hosts[i], [=] {
      std::vector<int*> got(n);
      std::vector<s4u::CommPtr> coming;
      for (int j = 0; j < n; ++j)
        if (j != i) coming.push_back(box(to_string(j) + ">" + to_string(i))->get_async<int>(&got[j]));
      for (auto& one : coming) one->wait();
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  s4u::Engine engine(&argc, argv);
  // Plain shared capacity, as in flows.cpp.
  for (const char* option : {"network/model:CM02", "network/crosstraffic:0", "network/TCP-gamma:0", "network/weight-S:0",
                             "network/optim:Full", "contexts/stack-size:64"})
    s4u::Engine::set_config(option);
  const std::string what = argc > 1 ? argv[1] : "";
  std::vector<double> numbers;
  for (int i = 2; i < argc; ++i) numbers.push_back(std::stod(argv[i]));
  if (what == "ring" && numbers.size() == 5) ring(numbers);
  else if (what == "async" && numbers.size() == 6) async(numbers);
  else if (what == "server" && numbers.size() == 4) server(numbers);
  else if (what == "laps" && numbers.size() == 7) {
    std::printf("%.9f\n", laps(engine, numbers));
    return 0;
  }
  else if (what == "all_to_all" && numbers.size() == 6) all_to_all(numbers);
  else return 2;
  engine.run();
  std::printf("%.9f\n", s4u::Engine::get_clock());
}
