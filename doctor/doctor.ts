import type { NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import { realClock } from "../provider/clock.ts";
import { Connections } from "../provider/connections.ts";
import { defaultTimeouts } from "../provider/timeouts.ts";
import { SealedClients } from "../provider/gate/sealedClients.ts";
import { nodeUpgradeInputs } from "../provider/inputs.ts";
import { KubernetesError } from "../provider/kubernetes.ts";
import { Session, type Surroundings } from "../provider/session.ts";
import { connectTalos } from "../talos/api/client.ts";
import { TalosError } from "../talos/api/errors.ts";
import { endpointsByAddress, reach, splitEndpoint, type Endpoints } from "../talos/endpoint.ts";
import { iscsiServices } from "../talos/extensions.ts";
import type { ClientCredentials } from "../talos/secretsBundle.ts";
import { parseVersion, VersionError } from "../talos/version.ts";
import { readCertificate, certificateFindings } from "./certificates.ts";
import { DoctorError } from "./doctorError.ts";
import { examineComponents, requireKubernetesRelease } from "./components.ts";
import { connectKubernetesReader, type KubernetesReader } from "./kubernetes.ts";
import { examineUpgrade, lookFirst, type FirstLook } from "./node.ts";
import type { Finding, KubernetesVerdict, NodeVerdict, Verdict } from "./verdict.ts";

export interface DoctorOptions {
  talosconfig: ClientCredentials;
  kubeconfig?: string;
  /** Addresses; default: the nodes of Kubernetes, else those of the talosconfig, else its endpoints. */
  nodes?: string[];
  /** Talos APIs to reach the nodes through, as `talosctl -e` does; default: those of the talosconfig. */
  endpoints?: string[];
  /** The Talos release that an upgrade is judged for. */
  to?: string;
  /** The Kubernetes release that an upgrade is judged for. */
  toKubernetes?: string;
  /** Judge a step over more than one minor release as one that was accepted. */
  allowSkew: boolean;
}

/** What the doctor needs from outside; tests put something else in its place. */
export interface DoctorEnvironment {
  surroundings: Surroundings;
  kubernetes(kubeconfig: string): Promise<KubernetesReader>;
  now(): Date;
}

/** A client that can act cannot be made: whatever is called, the doctor only reads. */
const refusingClients = new SealedClients({
  talos: () => Promise.reject(new Error("the doctor only reads")),
  kubernetes: () => Promise.reject(new Error("the doctor only reads")),
});

const doNothing = (): void => undefined;

export const realEnvironment: DoctorEnvironment = {
  surroundings: {
    talos: () => Promise.resolve(connectTalos),
    connectKubernetes: async (kubeconfig) =>
      (await import("../provider/kubernetesApi.ts")).connectKubernetes(kubeconfig),
    acting: refusingClients,
    clock: realClock,
    // Nothing is waited for: what may pass by itself is part of what is seen now.
    timeouts: { ...defaultTimeouts, probeMs: 5_000, guardMs: 0, recoveryMs: 0, steadyMs: 0 },
    advised: new Set(),
    statusOf: () => ({ status: doNothing, info: doNothing, warn: doNothing }),
  },
  kubernetes: connectKubernetesReader,
  now: () => new Date(),
};

/**
 * Looks at a Talos cluster with the parts of the preflight, and changes nothing.
 * @throws DoctorError where no node answers, or what was given cannot be used
 */
export async function examineCluster(
  options: DoctorOptions,
  world: DoctorEnvironment,
  signal: AbortSignal,
): Promise<Verdict> {
  const to = options.to === undefined ? undefined : requireRelease(options.to);
  requireKubernetesRelease(options.toKubernetes);
  const findings: Finding[] = [];
  const { kubernetes, addresses, clientCertificate } = await findNodes(options, world, findings);
  const now = world.now();
  const certificates = [
    readCertificate("talosconfig", options.talosconfig.clientCertificate, now),
    clientCertificate === undefined ? undefined : readCertificate("kubeconfig", clientCertificate, now),
  ]
    .filter((found) => found !== undefined)
    .sort((a, b) => a.days - b.days);
  const looks = await lookAtAll(addresses, options, world, findings, signal);
  if (looks.length === 0) {
    const all = [...certificateFindings(certificates), ...findings];
    const lines = all.map(
      ({ nodes, text }) => `  ${nodes.length === 0 ? "" : `${nodes.join(", ")}: `}${text}`,
    );
    throw new DoctorError("no node could be read", `Reasons:\n${lines.join("\n")}`);
  }
  const nodes: NodeVerdict[] = [];
  for (const result of await Promise.all(
    looks.map((look) =>
      examineNode(look, looks, { ...options, ...(to === undefined ? {} : { to }) }, world, signal),
    ),
  )) {
    nodes.push(result.node);
    findings.push(...result.findings);
  }
  const components = await examineComponents(
    looks,
    { ...options, ...(to === undefined ? {} : { to }) },
    {
      surroundings: world.surroundings,
      endpoints: endpointsOption(options.talosconfig, options.endpoints),
      signal,
    },
  );
  findings.push(...components.findings);
  return {
    made: now.toISOString(),
    context: options.talosconfig.context,
    ...(to === undefined ? {} : { to }),
    ...(options.toKubernetes === undefined
      ? {}
      : { toKubernetes: options.toKubernetes, kubernetesRefused: components.refused }),
    components: components.runs,
    unread: addresses.filter((address) => !looks.some((look) => look.address === address)),
    nodes: nodes.sort((a, b) => roleRank(a) - roleRank(b) || a.name.localeCompare(b.name)),
    ...(kubernetes === undefined ? {} : { kubernetes }),
    certificates,
    findings: groupFindings([...certificateFindings(certificates), ...findings, ...clusterFindings(nodes)]),
  };
}

const roleRank = ({ role }: NodeVerdict): number => (role === "controlplane" ? 0 : 1);

function requireRelease(text: string): string {
  try {
    return parseVersion(text).text;
  } catch (error) {
    if (error instanceof VersionError) throw new DoctorError(`--to: ${error.message}`);
    throw error;
  }
}

/** Where the nodes are, and what Kubernetes says. Without it workers are known only where somebody names them. */
async function findNodes(
  { talosconfig, kubeconfig, nodes }: DoctorOptions,
  world: DoctorEnvironment,
  findings: Finding[],
): Promise<{ addresses: string[]; kubernetes?: KubernetesVerdict; clientCertificate?: string }> {
  const own = talosconfig.nodes.length > 0 ? talosconfig.nodes : talosconfig.endpoints;
  const named = [...new Set(nodes ?? own.map((endpoint) => splitEndpoint(endpoint).host))];
  if (kubeconfig === undefined) {
    if (nodes === undefined && talosconfig.nodes.length === 0)
      findings.push({
        severity: "warning",
        nodes: [],
        text: "only the endpoints of the talosconfig were examined: set --kubeconfig or --nodes for the others",
      });
    return { addresses: requireAddresses(named) };
  }
  let signIn: { clientCertificate?: string } = {};
  try {
    const { clientCertificate, ...look } = await world.kubernetes(kubeconfig);
    if (clientCertificate !== undefined) signIn = { clientCertificate };
    const [listed, kubernetes] = await Promise.all([look.nodes(), look.verdict()]);
    return {
      addresses: requireAddresses(nodes ?? listed.map(({ address }) => address)),
      kubernetes,
      ...signIn,
    };
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    findings.push({
      severity: "problem",
      nodes: [],
      text: `the Kubernetes API could not be read, so storage and drains were not checked: ${error.message}`,
    });
    return { addresses: requireAddresses(named), ...signIn };
  }
}

function requireAddresses(addresses: string[]): string[] {
  if (addresses.length > 0) return addresses;
  throw new DoctorError(
    "the talosconfig has neither nodes nor endpoints",
    "Specify --nodes or --kubeconfig.",
  );
}

async function lookAtAll(
  addresses: readonly string[],
  { talosconfig, endpoints }: DoctorOptions,
  { surroundings }: DoctorEnvironment,
  findings: Finding[],
  signal: AbortSignal,
): Promise<FirstLook[]> {
  const connections = new Connections(await surroundings.talos(), talosconfig, (address) =>
    reach(address, endpointsOption(talosconfig, endpoints)),
  );
  const call = { deadlineMs: surroundings.timeouts.probeMs * 2, signal };
  const looks = await Promise.all(
    addresses.map(async (address) => {
      const talos = connections.to(address);
      try {
        return await lookFirst(talos, address, call);
      } catch (error) {
        if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
        const reason = (await talos.inMaintenance())
          ? "waits for its first configuration"
          : `could not be read: ${(await talos.diagnose()) ?? error.detail}`;
        findings.push({ severity: "problem", nodes: [address], text: reason });
        return undefined;
      }
    }),
  ).finally(() => connections.close());
  return looks.filter((look) => look !== undefined);
}

/** Where the nodes are reached, for all of them. */
function endpointsOption(
  { endpoints }: ClientCredentials,
  given: readonly string[] | undefined,
): Endpoints | undefined {
  return endpointsByAddress([], given ?? endpoints);
}

async function examineNode(
  look: FirstLook,
  all: readonly FirstLook[],
  options: DoctorOptions,
  { surroundings }: DoctorEnvironment,
  signal: AbortSignal,
): Promise<{ node: NodeVerdict; findings: Finding[] }> {
  const session = await Session.open(surroundings, "", upgradeInputs(look, all, options), signal);
  try {
    return await examineUpgrade(session.context, look, options);
  } finally {
    session.close();
  }
}

/** The node's image in another release: what an upgrade by this program would ask of it. */
function upgradeInputs(
  { address, name, role, facts }: FirstLook,
  all: readonly FirstLook[],
  { talosconfig, endpoints, kubeconfig, to, allowSkew }: DoctorOptions,
): NodeUpgradeInputs {
  const through = endpointsOption(talosconfig, endpoints);
  const extensions = facts.extensions.map((extension) => extension.name);
  return nodeUpgradeInputs({
    name,
    node: address,
    role,
    talosVersion: to ?? facts.version,
    schematicId: facts.schematicId ?? "",
    image: "",
    extensions,
    services: extensions.includes("iscsi-tools") && to !== undefined ? [...iscsiServices(to)] : [],
    controlPlanes: all.filter((other) => other.role === "controlplane").map((other) => other.address),
    ...(through === undefined ? {} : { endpoints: through }),
    clientConfiguration: talosconfig,
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    drain: { enabled: kubeconfig !== undefined && all.length > 1 },
    allowSkew,
  });
}

/** What only several nodes together show. */
function clusterFindings(nodes: readonly NodeVerdict[]): Finding[] {
  const versions = [...new Set(nodes.map(({ version }) => version))].sort();
  const members = nodes.filter(({ role }) => role === "controlplane");
  const findings: Finding[] = [];
  if (versions.length > 1)
    findings.push({
      severity: "warning",
      nodes: [],
      text: `nodes run different releases of Talos: ${versions.join(", ")}`,
    });
  if (members.length > 1 && members.length % 2 === 0)
    findings.push({
      severity: "warning",
      nodes: [],
      text: `${members.length} control planes: etcd tolerates no more failures than with ${members.length - 1}`,
    });
  const renamed = nodes.filter((node) => node.initiatorNameChanges && node.initiatorName !== undefined);
  if (renamed.length > 0)
    findings.push({
      severity: "warning",
      nodes: renamed.map(({ name }) => name),
      text: "the upgrade changes the initiator name: allow the new one on the array first, or volumes will not attach",
    });
  return findings;
}

/** The same text is told once, with all nodes that it concerns; problems first. */
function groupFindings(findings: readonly Finding[]): Finding[] {
  const byText = new Map<string, Finding>();
  for (const finding of findings) {
    const known = byText.get(finding.text);
    if (known === undefined) byText.set(finding.text, { ...finding, nodes: [...finding.nodes] });
    else known.nodes.push(...finding.nodes.filter((node) => !known.nodes.includes(node)));
  }
  const all = [...byText.values()];
  return [
    ...all.filter(({ severity }) => severity === "problem"),
    ...all.filter(({ severity }) => severity === "warning"),
  ];
}
