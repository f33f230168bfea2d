import { etcdOf } from "../../talos/etcdVersions.ts";
import { newestContract, newestGenerated } from "../../talos/iscsi.ts";
import { badRelease, initiatorNameSource, iscsiServices } from "../../talos/extensions.ts";
import {
  configurationForms,
  hasPlatformInstaller,
  hasSchematicExtension,
  kernelArguments,
  preserveNeeded,
  upgradeApi,
  workloadIsolation,
} from "../../talos/features.ts";
import { KNOWN_CONTRACTS, releasesBefore, skew, supportedKubernetes } from "../../talos/releases.ts";
import type { Contract } from "../../talos/version.ts";

/** `docs/compatibility.md`: what `talos/` knows of every Talos release line. */
export function compatibilityPage(): string {
  return [
    introduction,
    "## Releases\n",
    table(releaseColumns),
    "## Contracts\n",
    "The contract (`talosContract`) is the shape of the machine configuration. It stays where the cluster was made, whatever `talosVersion` says.\n",
    table(contractColumns),
    "## Releases to keep away from\n",
    badReleases(),
    limits,
  ].join("\n");
}

const introduction = `# Compatibility

What the program knows of each Talos release line and does by itself. Written by \`npm run docs:settings\` from \`releases.ts\`,
\`features.ts\` and \`extensions.ts\` in \`talos/\`; the sources are named there.
`;

const usual = newestContract("v1.99.0");
const newest = `v1.${newestGenerated}`;

const limits = `## Limits

- New clusters start with the contract of their release, at most ${usual}: that is the newest one that the Talos provider generates. For ${newest} set
  \`talosContract: ${newest}\` and \`kubernetesVersion\` before the first \`pulumi up\`: the program then generates the configuration itself, the same that Talos's own
  machinery does. A newer \`talosContract\` is refused. A newer release runs all the same, with an older contract.
- Nodes that boot with GRUB and run Talos 1.13 or newer lose \`machine.install.extraKernelArgs\` in an upgrade, and take the schematic's kernel arguments only with
  \`machine.install.grubUseUKICmdline: true\`. An upgrade that would lose any is refused.
- A line that is not in the table is reached only from its neighbours, since nothing else is known of it.
- Before Talos 1.7 a node does not tell its schematic. There the extensions count in its place.
`;

function newestPatch(line: Contract): string {
  return releasesBefore(`v1.${Number(line.split(".")[1]) + 1}.0`).at(-1) ?? "";
}

type Column = readonly [title: string, value: (contract: Contract) => string];

const releaseColumns: readonly Column[] = [
  ["Talos", (line) => line.slice(1)],
  ["Newest patch known", newestPatch],
  ["Reached from", reachedFrom],
  ["Kubernetes", (line) => range(supportedKubernetes(release(line)))],
  ["etcd", etcdsOf],
  ["iSCSI services", (line) => iscsiServices(release(line)).map(code).join(", ")],
  [
    "Initiator name",
    (line) => (initiatorNameSource(release(line)) === "machine-id" ? "from the machine's ID" : "generated"),
  ],
  ["Installer", (line) => code(hasPlatformInstaller(release(line)) ? "<platform>-installer" : "installer")],
  [
    "Its nodes are upgraded by",
    (line) => code(upgradeApi(release(line)) === "lifecycle" ? "LifecycleService" : "MachineService"),
  ],
  ["Upgrade says `preserve`", (line) => (preserveNeeded(release(line)) ? "yes" : "no")],
  ["Tells its schematic", (line) => (hasSchematicExtension(release(line)) ? "yes" : "no")],
];

const contractColumns: readonly Column[] = [
  ["Contract", (line) => line],
  ["PodSecurity exemption", (line) => place(configurationForms(line).admission, "cluster.apiServer")],
  ["Kernel modules", (line) => place(configurationForms(line).modules, "machine.kernel")],
  ["Installer image", (line) => place(configurationForms(line).install, "machine.install")],
  ["Host name", (line) => place(configurationForms(line).hostname, "machine.network")],
  [
    "Kernel arguments",
    (line) =>
      kernelArguments(line, release(line)).place === "install" ? code("machine.install") : "the schematic",
  ],
  ["Workload isolation", (line) => (workloadIsolation(line) ? "yes: no `nsenter`" : "no")],
];

function table(columns: readonly Column[]): string {
  const rows = KNOWN_CONTRACTS.toReversed().map((line) => columns.map(([, value]) => value(line)));
  const all = [columns.map(([title]) => title), columns.map(() => "---"), ...rows];
  return `${all.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

/** The lines whose nodes may be brought here: in one step, and with `upgrade.allowSkew`. */
function reachedFrom(line: Contract): string {
  const others = KNOWN_CONTRACTS.filter((other) => other !== line);
  const steps = others.map((other) => ({ other, ...skew(release(other), release(line)) }));
  const name = ({ other }: { other: Contract }): string => other.slice(1);
  const tested = steps.filter(({ allowed, adjacent }) => allowed && adjacent).map(name);
  const risky = steps.filter(({ allowed, adjacent }) => allowed && !adjacent).map(name);
  return `${tested.join(", ")}${risky.length === 0 ? "" : `; with \`allowSkew\` ${risky.join(", ")}`}`;
}

/** `3.5.21; from 1.10.9 3.5.26` */
function etcdsOf(line: Contract): string {
  const steps = Array.from({ length: 50 }, (_, patch) => ({ patch, etcd: etcdOf(`${line}.${patch}`) }));
  return steps
    .filter(({ patch, etcd }) => patch === 0 || etcd !== steps[patch - 1]?.etcd)
    .map(({ patch, etcd }) => `${patch === 0 ? "" : `from ${line.slice(1)}.${patch} `}${etcd ?? "not known"}`)
    .join("; ");
}

function badReleases(): string {
  const known = KNOWN_CONTRACTS.flatMap((line) =>
    // No line has had more patch releases than this by far.
    Array.from({ length: 50 }, (_, patch) => badRelease(`${line}.${patch}`) ?? []).flat(),
  );
  const rows = known.map(
    ({ version, reason, instead, source }) => `| ${version} | ${reason} | ${instead} | ${source} |`,
  );
  return `The settings refuse them.\n\n| Release | Because | Instead | Source |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
}

/** A final release of the line. */
function release(line: Contract): string {
  return `${line}.1`;
}

function range(ends: { oldest: string; newest: string } | undefined): string {
  return ends === undefined ? "not known" : `${ends.oldest.slice(1)} to ${ends.newest.slice(1)}`;
}

function place(form: string, v1alpha1: string): string {
  return code(form === "v1alpha1" ? v1alpha1 : form);
}

function code(text: string): string {
  return `\`${text}\``;
}
