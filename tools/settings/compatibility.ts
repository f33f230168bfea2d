import { etcdVersionOf } from "../../talos/etcdVersions.ts";
import { newestUsableContract, newestGeneratedMinor } from "../../talos/iscsi.ts";
import { findBadRelease, initiatorNameSource, iscsiServices } from "../../talos/extensions.ts";
import {
  configurationForms,
  hasPlatformInstaller,
  hasSchematicExtension,
  kernelArgumentPlace,
  needsPreserve,
  upgradeApiOf,
  hasWorkloadIsolation,
} from "../../talos/features.ts";
import {
  KNOWN_CONTRACTS,
  releasesBefore,
  versionSkew,
  supportedKubernetesRange,
} from "../../talos/releases.ts";
import type { Contract } from "../../talos/version.ts";

/** `docs/compatibility.md`: what `talos/` knows about every Talos release line. */
export function compatibilityPage(): string {
  return [
    introduction,
    "## Releases\n",
    renderTable(releaseColumns, eachLine),
    renderTable(behaviorColumns, grouped(behaviorColumns)),
    "## Contracts\n",
    "The contract (`talosContract`) is the shape of the machine configuration. It stays where the cluster was created, whatever `talosVersion` says.\n",
    renderTable(contractColumns, grouped(contractColumns)),
    "## Releases to avoid\n",
    badReleases(),
    limits,
  ].join("\n");
}

const introduction = `# Compatibility

Written by \`npm run docs:settings\` from \`releases.ts\`, \`features.ts\` and \`extensions.ts\` in \`talos/\`, which name the sources.
`;

const usual = newestUsableContract("v1.99.0");
const newest = `v1.${newestGeneratedMinor}`;

const limits = `## Limits

- New clusters start with the contract of their release, at most ${usual}. For ${newest} set \`talosContract: ${newest}\` and \`kubernetesVersion\` before the first \`pulumi up\`.
- From Talos 1.13 on, GRUB nodes lose \`machine.install.extraKernelArgs\`, and use the schematic's kernel arguments only with \`machine.install.grubUseUKICmdline: true\`. An upgrade that
  would lose any is refused.
- Releases that are not listed are reached only from their neighbors.
- Before Talos 1.7, nodes don't report a schematic; their extensions are compared instead.
`;

function newestPatch(line: Contract): string {
  return releasesBefore(`v1.${Number(line.split(".")[1]) + 1}.0`).at(-1) ?? "";
}

/** A column of a table, by release line or contract. */
type Column = readonly [title: string, value: (contract: Contract) => string];

const releaseColumns: readonly Column[] = [
  ["Talos", (line) => line.slice(1)],
  ["Newest known patch", newestPatch],
  ["Reached from (with `allowSkew`)", reachedFrom],
  ["Kubernetes", (line) => formatRange(supportedKubernetesRange(finalRelease(line)))],
  ["etcd", etcdsOf],
];

const behaviorColumns: readonly Column[] = [
  ["Talos", (line) => line.slice(1)],
  ["iSCSI services", (line) => iscsiServices(finalRelease(line)).map(codeSpan).join(", ")],
  [
    "Initiator name",
    (line) =>
      initiatorNameSource(finalRelease(line)) === "machine-id" ? "from the machine ID" : "generated",
  ],
  [
    "Installer",
    (line) => codeSpan(hasPlatformInstaller(finalRelease(line)) ? "<platform>-installer" : "installer"),
  ],
  [
    "Upgrade API",
    (line) =>
      codeSpan(upgradeApiOf(finalRelease(line)) === "lifecycle" ? "LifecycleService" : "MachineService"),
  ],
  ["`preserve`", (line) => (needsPreserve(finalRelease(line)) ? "yes" : "no")],
  ["Reports schematic", (line) => (hasSchematicExtension(finalRelease(line)) ? "yes" : "no")],
];

const contractColumns: readonly Column[] = [
  ["Contract", (line) => line.slice(1)],
  ["PodSecurity exemption", (line) => describePlace(configurationForms(line).admission, "cluster.apiServer")],
  ["Kernel modules", (line) => describePlace(configurationForms(line).modules, "machine.kernel")],
  ["Installer image", (line) => describePlace(configurationForms(line).install, "machine.install")],
  ["Host name", (line) => describePlace(configurationForms(line).hostname, "machine.network")],
  [
    "Kernel arguments",
    (line) =>
      kernelArgumentPlace(line, finalRelease(line)).place === "install"
        ? codeSpan("machine.install")
        : "schematic",
  ],
  ["Workload isolation", (line) => (hasWorkloadIsolation(line) ? "yes: no `nsenter`" : "no")],
];

const eachLine = KNOWN_CONTRACTS.toReversed().map((line) => [line]);

/** Groups adjacent lines that only differ in name. */
function grouped(columns: readonly Column[]): Contract[][] {
  const same = (one: Contract, other: Contract): boolean =>
    columns.slice(1).every(([, value]) => value(one) === value(other));
  return eachLine.flat().reduce<Contract[][]>((groups, line) => {
    const last = groups.at(-1);
    if (last?.[0] === undefined || !same(last[0], line)) return [...groups, [line]];
    last.push(line);
    return groups;
  }, []);
}

function renderTable(columns: readonly Column[], groups: readonly (readonly Contract[])[]): string {
  const rows = groups.map((lines) =>
    columns.map(([, value], index) => {
      const [first, last] = [lines[0], lines.at(-1)];
      if (first === undefined || last === undefined) return "";
      return index > 0 || first === last ? value(first) : `${value(last)}–${value(first)}`;
    }),
  );
  const all = [columns.map(([title]) => title), columns.map(() => "---"), ...rows];
  return `${all.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

/** The lines that can upgrade to this one in one step; in parentheses, those that need `upgrade.allowSkew`. */
function reachedFrom(line: Contract): string {
  const others = KNOWN_CONTRACTS.filter((other) => other !== line);
  const steps = others.map((other) => ({ other, ...versionSkew(finalRelease(other), finalRelease(line)) }));
  const name = ({ other }: { other: Contract }): string => other.slice(1);
  const tested = steps.filter(({ allowed, adjacent }) => allowed && adjacent).map(name);
  const risky = steps.filter(({ allowed, adjacent }) => allowed && !adjacent).map(name);
  return [...tested, ...risky.map((name) => `(${name})`)].join(", ");
}

/** `3.5.21–3.5.26`: the first and the last known etcd version. */
function etcdsOf(line: Contract): string {
  const etcds = [etcdVersionOf(`${line}.0`), etcdVersionOf(newestPatch(line))].map(
    (etcd) => etcd ?? "not known",
  );
  return [...new Set(etcds)].join("–");
}

function badReleases(): string {
  const known = KNOWN_CONTRACTS.flatMap((line) =>
    // Far more than any line has had.
    Array.from({ length: 50 }, (_, patch) => findBadRelease(`${line}.${patch}`) ?? []).flat(),
  );
  const rows = known.map(
    ({ version, reason, instead, source }) => `| ${version} | ${reason} | ${instead} | ${source} |`,
  );
  return `The settings refuse them.\n\n| Release | Reason | Instead | Source |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
}

/** A final release (no pre-release) of the line. */
function finalRelease(line: Contract): string {
  return `${line}.1`;
}

function formatRange(ends: { oldest: string; newest: string } | undefined): string {
  return ends === undefined ? "not known" : `${ends.oldest.slice(1)}–${ends.newest.slice(1)}`;
}

function describePlace(form: string, v1alpha1: string): string {
  return codeSpan(form === "v1alpha1" ? v1alpha1 : form);
}

function codeSpan(text: string): string {
  return `\`${text}\``;
}
