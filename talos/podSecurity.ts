/**
 * The configuration of PodSecurity admission, in either form. Talos passes it to kube-apiserver unchanged, `talosctl validate` doesn't check it, and
 * kube-apiserver exits if it can't load it (kubernetes pod-security-admission admission/api).
 */
import { isLeaf, isTreeList, textOf, treeAt, type Tree, type TreeMap } from "./configTree.ts";
import { Configuration, type Finding, type Place } from "./configuration.ts";

/** The name of the admission plugin. */
const POD_SECURITY = "PodSecurity";

interface Plugin {
  /** The place of its `configuration`. */
  readonly place: Place;
  readonly form: "v1alpha1" | "KubeAdmissionControlConfig";
  readonly configuration: Tree | undefined;
}

const inApiServer = ["cluster", "apiServer", "admissionControl"];

/** Where a configuration has PodSecurity; empty if its owner removed it. */
export function podSecurityPlugins(documents: readonly TreeMap[]): readonly Plugin[] {
  const config = new Configuration(documents);
  const list = config.at(...inApiServer);
  const named = (plugin: Tree): boolean => textOf(plugin, "name") === POD_SECURITY;
  return [
    ...(isTreeList(list) ? list : []).filter(named).map((plugin): Plugin => ({
      form: "v1alpha1",
      place: { kind: "", keys: inApiServer },
      configuration: treeAt(plugin, "configuration"),
    })),
    ...config
      .of("KubeAdmissionControlConfig")
      .filter(named)
      .map((plugin): Plugin => ({
        form: "KubeAdmissionControlConfig",
        place: { kind: "KubeAdmissionControlConfig", keys: ["configuration"] },
        configuration: treeAt(plugin, "configuration"),
      })),
  ];
}

/** Configurations that kube-apiserver would not start with. */
export function podSecurityFindings(
  config: Configuration,
  exempter?: (namespace: string) => string,
): Finding[] {
  const plugins = podSecurityPlugins(config.documents);
  const list = config.at(...inApiServer);
  const mixed =
    isTreeList(list) && list.length > 0 && config.of("KubeAdmissionControlConfig").length > 0
      ? [
          podSecurityFinding(
            "cluster.apiServer.admissionControl cannot be used with the KubeAdmissionControlConfig document of the configuration; patch that document instead",
            [
              { kind: "", keys: inApiServer },
              { kind: "KubeAdmissionControlConfig", keys: ["kind"] },
            ],
          ),
        ]
      : [];
  if (mixed.length > 0) return mixed;
  const twice =
    plugins.length > 1
      ? [
          podSecurityFinding(
            `${POD_SECURITY} is configured ${plugins.length} times; kube-apiserver accepts only one`,
            plugins.map(({ place }) => place),
          ),
        ]
      : [];
  return [...plugins.flatMap((plugin) => pluginFindings(plugin, exempter)), ...twice];
}

const LEVELS = ["privileged", "baseline", "restricted"];

function pluginFindings(
  { configuration, place }: Plugin,
  exempter?: (namespace: string) => string,
): Finding[] {
  const findings: Finding[] = [];
  const say = (reason: string, value?: string): void =>
    void findings.push(podSecurityFinding(reason, [value === undefined ? place : { ...place, value }]));
  const missing = ["apiVersion", "kind"].filter((key) => textOf(configuration, key) === undefined);
  if (missing.length > 0) {
    say(
      `the configuration of ${POD_SECURITY} has no ${missing.join(" and no ")}: kube-apiserver would not start. Set all of it, ` +
        "apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, defaults and exemptions, or remove the plugin",
    );
  } else if (textOf(configuration, "kind") !== "PodSecurityConfiguration") {
    say(
      `the configuration of ${POD_SECURITY} has kind ${textOf(configuration, "kind")}, not PodSecurityConfiguration: kube-apiserver would not start`,
    );
  }
  for (const mode of ["enforce", "audit", "warn"]) {
    const level = textOf(configuration, "defaults", mode);
    if (level !== undefined && !LEVELS.includes(level)) {
      say(
        `defaults.${mode} of ${POD_SECURITY} is ${JSON.stringify(level)}: kube-apiserver would not start; use ${LEVELS.join(", ")}`,
        level,
      );
    }
    const version = textOf(configuration, "defaults", `${mode}-version`);
    if (version !== undefined && !/^(?:latest|v1\.\d+)$/.test(version)) {
      say(
        `defaults.${mode}-version of ${POD_SECURITY} is ${JSON.stringify(version)}: kube-apiserver would not start; use latest, or a release such as v1.35`,
        version,
      );
    }
  }
  for (const [key, what] of [
    ["namespaces", "namespace"],
    ["runtimeClasses", "runtime class"],
    ["usernames", "user"],
  ] as const) {
    const list = treeAt(configuration, "exemptions", key);
    const names = (isTreeList(list) ? list : []).flatMap((item) => (isLeaf(item) ? [item.text] : []));
    for (const name of new Set(names.filter((other, index) => names.indexOf(other) !== index))) {
      const why = key === "namespaces" && exempter !== undefined ? ` (${exempter(name)})` : "";
      say(
        `${what} ${name} must not be exempted again${why}: kube-apiserver does not start with a ${what} listed twice`,
        name,
      );
    }
    if (key !== "namespaces") continue;
    for (const name of names.filter((other) => !/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(other))) {
      say(
        `exempts ${JSON.stringify(name)}, which is not a valid namespace name: kube-apiserver would not start`,
        name,
      );
    }
  }
  return findings;
}

function podSecurityFinding(reason: string, places: readonly Place[]): Finding {
  return { rule: "pod-security", reason, places };
}
