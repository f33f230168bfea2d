import { gzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { stringify } from "yaml";
import { pack } from "tar-stream";
import { buffer } from "node:stream/consumers";
import { issueLeaf, loadAuthority, pemText } from "../../pki.ts";
import type { Boot } from "../machine/boot.ts";
import { appliesImmediately, configDiff } from "./configChange.ts";
import { CallFailure, notAuthorized } from "../machine/failure.ts";
import { kubeletOf } from "../machine/kubernetesImages.ts";
import { parseMachineConfig, type MachineConfig } from "../machine/machineConfig.ts";
import { reboot } from "./machineService.ts";
import type { Machine } from "../machine/machine.ts";
import type { ServedMachine } from "./apid.ts";
import { admin } from "./roles.ts";
import { booted, newActorId } from "../services/sequence.ts";

type Mode = "REBOOT" | "AUTO" | "NO_REBOOT" | "STAGED" | "TRY";

interface ApplyRequest {
  data: Buffer;
  mode: Mode;
  dryRun: boolean;
  tryModeTimeout: { seconds: string; nanos: number } | null;
}

const service = "/machine.MachineService";

/** Applies configurations, and issues the credentials derived from them. */
export function registerConfigService(node: ServedMachine): void {
  node.handlers.unary<ApplyRequest>(`${service}/ApplyConfiguration`, async (request, { roles }) => {
    const boot = booted(node);
    const maintenance = boot.config === undefined;
    if (!maintenance && !roles.has(admin)) throw notAuthorized();
    if (boot.busy !== undefined) {
      throw new CallFailure(
        status.FAILED_PRECONDITION,
        "the node is going down, cannot apply more configuration changes until the next boot",
      );
    }
    // siderolabs/talos v1.13 internal/app/maintenance/server.go
    if (maintenance && ["NO_REBOOT", "STAGED"].includes(request.mode)) {
      throw new CallFailure(
        status.UNIMPLEMENTED,
        `apply configuration --mode='${request.mode.toLowerCase().replace("_", "-")}' is not supported in maintenance mode`,
      );
    }
    const text = request.data.toString("utf8");
    const config = parseMachineConfig(text, node.version, node.disk.active !== undefined);
    const { mode, details } = decide(boot.config, config, request.mode);
    if (request.dryRun) {
      const diff = configDiff(boot.config?.text ?? "", text);
      return {
        messages: [{ mode, modeDetails: `Dry run summary:\n${details} (skipped in dry-run).\n${diff}` }],
      };
    }
    if (node.faults.strikes("configuration-refused")) {
      throw new CallFailure(status.UNKNOWN, "failed to write the configuration: no space left on device");
    }
    node.noteApplied(request.mode.toLowerCase(), text);
    const seconds = Number(request.tryModeTimeout?.seconds ?? 60);
    const extra =
      mode === "TRY"
        ? `\nThe config is applied in 'try' mode and will be automatically reverted back in ${seconds}s`
        : "";
    await take(node, config, mode, seconds);
    return { messages: [{ mode, modeDetails: details + extra, warnings: warnings(node, config) }] };
  });

  node.handlers.stream(`${service}/Kubeconfig`, async (_, send) => {
    const config = controlPlane(node, "kubeconfig");
    const archive = pack();
    archive.entry({ name: "kubeconfig", mode: 0o600 }, await adminKubeconfig(config));
    archive.finalize();
    send({ bytes: gzipSync(await buffer(archive)) });
  });

  node.handlers.unary<{ roles: string[]; crtTtl: { seconds: string } | null }>(
    `${service}/GenerateClientConfiguration`,
    async ({ roles, crtTtl }) => {
      const config = controlPlane(node, "generate client configuration");
      const seconds = Number(crtTtl?.seconds ?? 0);
      if (seconds <= 0) throw new CallFailure(status.INVALID_ARGUMENT, "crt_ttl should be positive");
      return { messages: [await clientConfiguration(config, roles, seconds)] };
    },
  );
}

/** The configuration of a control plane: only there are the CA keys. */
export function controlPlane(node: Machine, what: string): MachineConfig {
  const { config } = node;
  if (config === undefined) {
    throw new CallFailure(status.UNIMPLEMENTED, `machine type is not set, cannot use ${what} API`);
  }
  if (config.role !== "controlplane") {
    throw new CallFailure(status.UNIMPLEMENTED, `${what} is only available on control plane nodes`);
  }
  return config;
}

/** The effective mode: in maintenance mode, there is nothing to reboot out of. */
function decide(
  current: MachineConfig | undefined,
  next: MachineConfig,
  wanted: Mode,
): { mode: Mode; details: string } {
  const immediate = current === undefined || appliesImmediately(current, next);
  const withReboot = { mode: "REBOOT" as const, details: "Applied configuration with a reboot" };
  const without = { mode: "NO_REBOOT" as const, details: "Applied configuration without a reboot" };
  switch (wanted) {
    case "REBOOT":
      return current === undefined ? without : withReboot;
    case "AUTO":
      return immediate
        ? without
        : {
            ...withReboot,
            details: `${withReboot.details}: this config change can't be applied in immediate mode`,
          };
    case "STAGED":
      return { mode: "STAGED", details: "Staged configuration to be applied after the next reboot" };
    default:
      if (!immediate) {
        throw new CallFailure(
          status.INVALID_ARGUMENT,
          `this config change can't be applied in immediate mode\ndiff:\n${configDiff(current.text, next.text)}`,
        );
      }
      return wanted === "TRY" ? { ...without, mode: "TRY" } : without;
  }
}

function warnings(node: Machine, config: MachineConfig): string[] {
  return node.disk.bootloader === "sd-boot" && config.extraKernelArgs.length > 0
    ? ["config.machine.install.extraKernelArgs is not supported when booting using SDBoot"]
    : [];
}

async function take(node: Machine, config: MachineConfig, mode: Mode, trySeconds: number): Promise<void> {
  const boot = booted(node);
  const before = boot.config;
  if (mode !== "TRY") {
    node.disk.config = config.text;
    node.saveDisk();
  }
  if (before === undefined) {
    node.configArrived(config);
    return;
  }
  if (mode === "REBOOT") reboot(node, newActorId());
  if (mode === "NO_REBOOT" || mode === "TRY") await activate(node, config);
  if (mode === "TRY") {
    void boot
      .sleep(trySeconds)
      .then(() => (boot.config === config ? activate(node, before) : undefined))
      .catch(() => {});
  }
}

/** The running system applies a configuration. */
async function activate(node: Machine, config: MachineConfig): Promise<void> {
  const boot = booted(node);
  const before = boot.config;
  boot.config = config;
  node.remember(config);
  const names = (of: MachineConfig | undefined): string =>
    JSON.stringify([of?.certSans, of?.machineCa.crt, of?.acceptedCas, of?.hostname]);
  if (names(before) !== names(config)) await node.api.serveConfigured(true);
  node.changes.notify();
  const returns = async (): Promise<boolean> =>
    !node.faults.has("api-server-down") && (await node.kubernetes.health()).apiServer;
  void boot.staticPods.follow(config, boot, node.timings.bootSeconds, returns).catch(() => {});
  if (before !== undefined && kubeletOf(before) !== kubeletOf(config))
    void restartKubelet(node, boot).catch(() => {});
  await node.kubernetes.tell(
    (runtime) => runtime.configActive(node.identity(), config.documents),
    boot.power,
  );
}

/** Containers keep running; the kubelet is down for a moment, and reports its new settings when it is back. */
async function restartKubelet(node: Machine, boot: Boot): Promise<void> {
  boot.services.put("kubelet", "Stopping", "Sending SIGTERM to Process");
  await node.kubernetes.restartKubelet(boot, async () => {
    await boot.sleep(node.timings.bootSeconds * 0.3);
    while (node.faults.has("kubelet-does-not-return")) await boot.sleep(0.05);
    boot.services.put("kubelet", "Running", "Started task kubelet", !node.faults.has("kubelet-unhealthy"));
  });
}

/** An admin kubeconfig for Kubernetes, as Talos issues it. */
async function adminKubeconfig(config: MachineConfig): Promise<string> {
  const ca = config.clusterCa;
  if (ca === undefined) throw new CallFailure(status.UNKNOWN, "error getting Kubernetes CA: no key");
  const leaf = await issueLeaf(await loadAuthority(ca), {
    commonName: "admin",
    organizations: ["system:masters"],
    usages: ["client"],
  });
  const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
  const cluster = config.clusterName;
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: cluster,
        cluster: { server: config.endpoint, "certificate-authority-data": base64(pemText(ca.crt)) },
      },
    ],
    users: [
      {
        name: `admin@${cluster}`,
        user: { "client-certificate-data": base64(leaf.certificate), "client-key-data": base64(leaf.key) },
      },
    ],
    contexts: [
      { name: `admin@${cluster}`, context: { cluster, namespace: "default", user: `admin@${cluster}` } },
    ],
    "current-context": `admin@${cluster}`,
  });
}

async function clientConfiguration(config: MachineConfig, roles: string[], seconds: number): Promise<object> {
  const { crt, key = "" } = config.machineCa;
  const leaf = await issueLeaf(await loadAuthority({ crt, key }), {
    commonName: "",
    organizations: roles,
    usages: ["client"],
    keyKind: "ed25519",
    days: seconds / 86_400,
  });
  const ca = pemText(crt);
  const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
  const [only] = roles;
  const context =
    roles.length === 1 ? `${only?.replace("os:", "") ?? ""}@${config.clusterName}` : config.clusterName;
  return {
    ca: Buffer.from(ca),
    crt: Buffer.from(leaf.certificate),
    key: Buffer.from(leaf.key),
    talosconfig: Buffer.from(
      stringify({
        context,
        contexts: {
          [context]: { endpoints: [], ca: base64(ca), crt: base64(leaf.certificate), key: base64(leaf.key) },
        },
      }),
    ),
  };
}
