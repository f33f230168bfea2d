import semver from "semver";
import { isPowerLoss, type Boot, type UnmetCondition } from "../machine/boot.ts";
import { EtcdView, newMemberId } from "./etcd.ts";
import { etcdRefusal } from "./etcdVersion.ts";
import { install, pull } from "../disk/installer.ts";
import type { MachineConfig } from "../machine/machineConfig.ts";
import type { Machine } from "../machine/machine.ts";
import { expectedServices } from "../machine/services.ts";

/** From power-on to running; then monitors the node until the power goes. */
export async function bringUp(node: Machine, boot: Boot): Promise<void> {
  for (const id of ["machined", "udevd", "syslogd", "auditd", "containerd"]) {
    boot.services.put(id, "Running", "Service started as goroutine", id === "auditd" ? undefined : true);
  }
  if (node.disk.stagedUpgrade !== undefined) {
    await finishStagedUpgrade(node, boot);
    return;
  }
  const config = node.configOnDisk() ?? (await maintenance(node, boot));
  boot.config = config;
  node.remember(config);
  if (node.disk.active === undefined) {
    await installOnDisk(node, boot, config);
    return;
  }
  boot.setStatus("booting", [{ name: "services", reason: "the boot sequence is under way" }]);
  await serve(node, boot);
  await node.kubernetes.tell(
    (runtime) => runtime.configActive(node.identity(), config.documents),
    boot.power,
  );
  await startServices(node, boot, config);
  if (node.disk.fallback !== undefined && node.faults.strikes("falls-back-late")) {
    returnToFallback(node);
    return;
  }
  delete node.disk.fallback;
  boot.meta.delete("0x06");
  node.saveDisk();
  await watchOver(node, boot);
}

/** The image failed: the boot loader boots the other one next. */
function returnToFallback(node: Machine): void {
  const { disk } = node;
  if (disk.fallback !== undefined) disk.active = disk.fallback;
  delete disk.fallback;
  node.saveDisk();
  node.powerCut("reboot");
}

/** Waits for a configuration, without any credentials. */
async function maintenance(node: Machine, boot: Boot): Promise<MachineConfig> {
  await node.api.serveMaintenance();
  boot.services.put("apid", "Running", "Started task apid", true);
  boot.setStatus("maintenance", []);
  const config = await node.nextConfig(boot.power);
  // The reply leaves before its service stops.
  await boot.sleep(0.05);
  if (node.minor() < 13) await node.api.close();
  return config;
}

/** Serves the API with the certificates of the configuration. A worker waits here for a control plane to sign its certificate. */
async function serve(node: Machine, boot: Boot): Promise<void> {
  if (node.config?.role === "controlplane")
    boot.services.put("trustd", "Running", "Started task trustd", true);
  while (!(await node.api.serveConfigured())) {
    boot.services.put("apid", "Preparing", "Running pre state");
    node.settled();
    await boot.sleep(0.1);
  }
  boot.services.put("apid", "Running", "Started task apid", true);
}

/** A new machine: installs the configuration's installer image on the disk and reboots into it. */
async function installOnDisk(node: Machine, boot: Boot, config: MachineConfig): Promise<void> {
  if (node.minor() >= 13) await node.api.serveConfigured();
  boot.setStatus("installing", []);
  const reference = config.installImage ?? `ghcr.io/siderolabs/installer:${boot.image.version}`;
  for (;;) {
    try {
      const image = await pull(node, reference, boot.power, undefined, config.mirrors);
      if ((await install(node, image, "apply", (line) => node.log(line), boot.power, config)) === 0) break;
    } catch (error) {
      if (boot.power.aborted || isPowerLoss(error)) throw error;
      node.log(`install failed: ${String(error)}`);
    }
    await boot.sleep(1);
  }
  node.powerCut("reboot");
}

/** The second half of `talosctl upgrade --stage`: installs early in this boot, then reboots into the result. */
async function finishStagedUpgrade(node: Machine, boot: Boot): Promise<void> {
  const image = node.disk.stagedUpgrade;
  delete node.disk.stagedUpgrade;
  boot.setStatus("upgrading", []);
  if (image !== undefined)
    await install(node, image, "legacy", (line) => node.log(line), boot.power, node.configOnDisk());
  node.saveDisk();
  node.powerCut("reboot");
}

async function startServices(node: Machine, boot: Boot, config: MachineConfig): Promise<void> {
  const seconds = node.timings.bootSeconds * node.faults.factor("slow-boot");
  await boot.sleep(seconds * 0.3);
  boot.services.put("cri", "Running", "Started task containerd", true);
  refreshServices(node, boot);
  boot.services.put("kubelet", "Running", "Started task kubelet", !node.faults.has("kubelet-unhealthy"));
  node.kubernetes.kubeletUp(boot);
  await boot.sleep(seconds * 0.3);
  if (config.role === "controlplane") {
    await startEtcd(node, boot);
    boot.staticPods.start(boot.config ?? config);
  }
  await boot.sleep(seconds * 0.2);
  // The machine reaches `running` long before it is ready: the kubelet must register its node first.
  boot.setStatus("running", [
    { name: "nodeReady", reason: `node "${node.hostname}" status is not available yet` },
  ]);
  await boot.sleep(seconds * 0.2);
}

async function startEtcd(node: Machine, boot: Boot): Promise<void> {
  boot.services.put("etcd", "Preparing", "Running pre state");
  const etcd = new EtcdView(node);
  while (node.disk.etcd === undefined) {
    // A cluster bootstrapped elsewhere accepts the new member; otherwise, this node must be bootstrapped.
    if (etcd.hasQuorum()) {
      node.disk.etcd = { memberId: newMemberId() };
      node.saveDisk();
    } else await boot.sleep(0.1);
  }
  for (;;) {
    const refusal = etcdRefusal(node, etcd.serving());
    if (refusal === undefined) break;
    // Talos restarts it forever (siderolabs/talos internal/app/machined/pkg/system/runner/restart).
    node.log(`etcd: ${refusal.says}`);
    boot.services.put(
      "etcd",
      "Waiting",
      `Error running Containerd(etcd), going to restart forever: task "etcd" failed: exit code ${String(refusal.exitCode)}`,
      false,
    );
    node.settled();
    await boot.sleep(0.2);
  }
  boot.services.put("etcd", "Running", "Started task etcd", !node.faults.has("etcd-member-unhealthy"));
  etcd.followVersions();
  if (node.bootstrapPending) {
    node.bootstrapPending = false;
    void node.kubernetes.tell((runtime) => runtime.bootstrapped(node.identity()), boot.power);
  }
}

/** Updates services to match the image's extensions, the active faults, and what was stopped through the API. */
export function refreshServices(node: Machine, boot: Boot): void {
  const { services } = boot;
  if (services.get("cri") === undefined || boot.busy !== undefined) return;
  const wanted = expectedServices({
    role: node.config?.role ?? "worker",
    minor: semver.minor(boot.image.version),
    extensions: node.extensions().map(({ name }) => name),
  });
  for (const id of wanted.filter((service) => service.startsWith("ext-"))) {
    if (boot.stopped.has(id)) services.put(id, "Finished", "Service finished successfully");
    else if (id === "ext-iscsid" && node.faults.has("iscsid-not-running")) {
      services.put(id, "Failed", 'Failed to run service: task "ext-iscsid" failed: exit code 1');
    } else services.put(id, "Running", `Started task ${id} for container ${id}`);
  }
  for (const { id } of services.list().filter((service) => service.id.startsWith("ext-"))) {
    if (!wanted.includes(id)) services.put(id, "Finished", "Service is not in this image");
  }
  for (const [id, fault] of [
    ["kubelet", "kubelet-unhealthy"],
    ["etcd", "etcd-member-unhealthy"],
  ] as const) {
    const service = services.get(id);
    if (service?.state === "Running") {
      const healthy = !node.faults.has(fault) && !boot.struggling.has(id);
      services.put(id, "Running", healthy ? "Health check successful" : "Health check failed", healthy);
    }
  }
}

/** Why a running machine isn't ready. */
async function unmetConditions(node: Machine, boot: Boot): Promise<UnmetCondition[]> {
  const unmet: UnmetCondition[] = [];
  if (node.faults.has("clock-skewed")) unmet.push({ name: "time", reason: "time is not synced" });
  const down = boot.services.list().filter(({ id }) => !boot.stopped.has(id) && !boot.services.isUp(id));
  if (down.length > 0) {
    unmet.push({
      name: "services",
      // The wording of Talos's own controller (siderolabs/talos v1.13.9, controllers/runtime/machine_status.go).
      reason: down
        .map(({ id, state }) => `${id} not ${state === "Running" ? "healthy" : "running"}`)
        .join(", "),
    });
  }
  if (node.faults.has("not-ready")) unmet.push({ name: "services", reason: "cri not healthy" });
  const { apiServer, nodeReady } = await node.kubernetes.health();
  if (node.config?.role === "controlplane" && !apiServer) {
    unmet.push({ name: "staticPods", reason: `kube-system/kube-apiserver-${node.hostname} not ready` });
  }
  const { unready } = boot.staticPods;
  if (unready.length > 0) {
    unmet.push({
      name: "staticPods",
      reason: unready.map((name) => `kube-system/${name}-${node.hostname} not ready`).join(", "),
    });
  }
  if (!nodeReady) unmet.push({ name: "nodeReady", reason: `node "${node.hostname}" status is not ready` });
  return unmet;
}

async function watchOver(node: Machine, boot: Boot): Promise<void> {
  while (!boot.power.aborted) {
    refreshServices(node, boot);
    if (boot.busy === undefined) {
      const unmet = await unmetConditions(node, boot);
      // A sequence may have started while Kubernetes was queried.
      if (boot.busy === undefined && !boot.power.aborted) boot.setStatus("running", unmet);
    }
    await node.changes.next(boot.ready ? 2 : 0.1, boot.power);
  }
}
