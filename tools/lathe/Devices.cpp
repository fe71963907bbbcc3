// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Commands.h"
#include "tools/lathe/Console.h"
#include "tools/lathe/Session.h"
#include "llvm/Support/JSON.h"

using namespace llvm;

namespace lathe::tool {

static cl::SubCommand parser("devices", "List what bundles can run on here");

static cl::opt<bool> json("json", cl::desc("As JSON"), cl::sub(parser),
                          cl::cat(optionCategory));

static void printText(ArrayRef<lathe_device_info_t> devices) {
  Table table({"device", "usable", ">memory", "what"});
  for (const lathe_device_info_t &device : devices)
    table.addRow({device.name, device.usable ? "yes" : "no",
                  device.memory_bytes ? formatBytes(device.memory_bytes) : "-",
                  device.description});
  table.print(outs());
}

static void writeJson(ArrayRef<lathe_device_info_t> devices) {
  json::OStream out(outs(), /*IndentSize=*/2);
  out.array([&] {
    for (const lathe_device_info_t &device : devices)
      out.object([&] {
        out.attribute("device", device.name);
        out.attribute("usable", device.usable != 0);
        out.attribute("memory_bytes", int64_t(device.memory_bytes));
        if (device.memory_bandwidth)
          out.attribute("memory_bytes_per_second",
                        int64_t(device.memory_bandwidth));
        if (device.matrix_flops)
          out.attribute("matrix_flops_per_second",
                        int64_t(device.matrix_flops));
        out.attribute("description", device.description);
      });
  });
  outs() << '\n';
}

static Error run() {
  std::vector<lathe_device_info_t> devices;
  for (size_t i = 0, count = lathe_device_count(); i < count; ++i)
    devices.push_back(get<lathe_device_info_t>(lathe_device_info, i));
  if (json)
    writeJson(devices);
  else
    printText(devices);
  return Error::success();
}

const Command devicesCommand = {&parser, R"(
Examples:
  lathe devices
  lathe devices --json
  lathe run model.lathe --inputs in.npz --outputs out.npz --device cuda:1

  The order is that of preference: without --device, a bundle runs on the first
  device that it has code for. 'lathe inspect' tells what code a bundle has, and
  what this machine lacks to run it.
)",
                                run};

} // namespace lathe::tool
