import Table from "cli-table3";
import type { Finding, NodeVerdict, Verdict } from "./verdict.ts";

/** The verdict for people: a table of the nodes, what there is on the cluster, and then what was found. */
export function verdictText(verdict: Verdict): string {
  const { context, to, nodes, kubernetes, components, certificates, findings } = verdict;
  const lines = [headline(verdict), ""];
  const table = new Table({
    head: [
      "node",
      "role",
      "Talos",
      "schematic",
      "machine",
      "etcd",
      "initiator name",
      ...(to === undefined ? [] : [`to ${to}`]),
    ],
    style: { head: [], border: [] },
  });
  for (const node of nodes) table.push(nodeRow(node, to));
  lines.push(table.toString(), "");
  for (const { name, extensions } of nodes) lines.push(`${name}: extensions ${joinNames(extensions)}`);
  const exempt = new Set(nodes.flatMap(({ exemptNamespaces }) => exemptNamespaces ?? []));
  if (nodes.some(({ exemptNamespaces }) => exemptNamespaces !== undefined))
    lines.push(`PodSecurity exempts ${joinNames([...exempt])}`);
  if (kubernetes !== undefined) {
    lines.push(`Kubernetes ${kubernetes.version}; ${kubernetes.attachments} volumes attached`);
    for (const { name, nodes: on } of kubernetes.drivers)
      lines.push(`  CSI driver ${name}: on ${on} nodes, ${kubernetes.volumes[name] ?? 0} volumes`);
  }
  lines.push(...componentLines(components));
  for (const { of, expires, days } of certificates)
    lines.push(`client certificate of the ${of}: until ${expires.slice(0, 10)} (${days} days)`);
  if (findings.length > 0) lines.push("", ...findings.map(findingText));
  return `talosconfig context ${context}\n${lines.join("\n")}\n`;
}

/** `kubelet v1.35.4: cp1, w1`, a line for each component and release. */
function componentLines(components: Verdict["components"]): string[] {
  const on = new Map<string, string[]>();
  for (const [node, runs] of Object.entries(components))
    for (const [component, release] of Object.entries(runs)) {
      const line = `${component} ${release}`;
      on.set(line, [...(on.get(line) ?? []), node]);
    }
  return [...on].map(([line, nodes]) => `${line}: ${nodes.join(", ")}`);
}

function headline({ findings, to, toKubernetes, kubernetesRefused = [], nodes, unread }: Verdict): string {
  const problems = findings.filter(({ severity }) => severity === "problem").length;
  const warnings = findings.length - problems;
  const refused = nodes.filter((node) => (node.refused ?? []).length > 0).map(({ name }) => name);
  const against = [...refused, ...unread];
  const upgrade =
    to === undefined
      ? ""
      : against.length === 0
        ? ` An upgrade to ${to} would begin.`
        : ` An upgrade to ${to} would be refused because of ${against.join(", ")}.`;
  const kubernetes =
    toKubernetes === undefined
      ? ""
      : ` An upgrade of Kubernetes to ${toKubernetes} would ${kubernetesRefused.length === 0 ? "begin" : "be refused"}.`;
  return `${countText(nodes.length, "node")}, ${countText(problems, "problem")}, ${countText(warnings, "warning")}.${upgrade}${kubernetes}`;
}

function nodeRow(node: NodeVerdict, to: string | undefined): string[] {
  const { name, role, version, schematicId, machine, etcd, initiatorName, refused } = node;
  return [
    name,
    role,
    version,
    schematicId === undefined ? "none" : `${schematicId.slice(0, 12)}…`,
    machine,
    etcd?.replace(/^etcd /, "") ?? "",
    initiatorName ?? "none",
    ...(to === undefined
      ? []
      : [version === to ? "runs it" : (refused ?? []).length > 0 ? "refused" : "yes"]),
  ];
}

function findingText({ severity, nodes, text }: Finding): string {
  return `${severity}: ${nodes.length === 0 ? "" : `${nodes.join(", ")}: `}${text}`;
}

const joinNames = (names: readonly string[]): string => (names.length === 0 ? "none" : names.join(", "));

const countText = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
