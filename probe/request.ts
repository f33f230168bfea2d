import { z } from "zod";
import { AcceptError } from "../accept/acceptError.ts";
import type { Pulumi } from "../accept/pulumiCommand.ts";
import { readResources } from "../accept/stackState.ts";
import { probeImage } from "../components/csi/sidecars.ts";
import type { ProbeRequest, WantedClass } from "../provider/storage/probe/plan.ts";

/** What the command line says in place of the stack's settings. */
export interface ProbeOptions {
  /** These StorageClasses alone. */
  classes?: readonly string[];
  /** These nodes alone. */
  nodes?: readonly string[];
  image?: string;
  size?: string;
  concurrency?: number;
  timeoutSeconds?: number;
  /** Keys of taints that the pods tolerate, besides those of the settings. */
  tolerate?: readonly string[];
}

const accessMode = z.enum(["ReadWriteOnce", "ReadWriteOncePod"]);
const toleration = z.object({
  key: z.string().optional(),
  operator: z.string().optional(),
  value: z.string().optional(),
  effect: z.string().optional(),
  tolerationSeconds: z.number().optional(),
});
const probeSchema = z.object({
  storageClasses: z.array(
    z.object({ name: z.string(), driver: z.string().optional(), accessMode: accessMode.optional() }),
  ),
  image: z.string(),
  size: z.string(),
  concurrency: z.number().default(3),
  timeoutSeconds: z.number().default(300),
  tolerations: z.array(toleration).default([]),
});
const undefinedIfEmpty = {
  image: probeImage,
  size: "1Gi",
  concurrency: 3,
  timeoutSeconds: 300,
  tolerations: [],
};

/**
 * What is to be probed of a stack: every StorageClass that it has deployed, as its own probe would where it has one (`joviandss.probe`), else with the defaults.
 * @throws AcceptError for a class that the stack has not
 */
export async function probeRequests(
  pulumi: Pulumi,
  storageClasses: readonly string[],
  options: ProbeOptions,
): Promise<ProbeRequest[]> {
  const { classes: only } = options;
  const strange = (only ?? []).filter((name) => !storageClasses.includes(name));
  if (strange.length > 0)
    throw new AcceptError(
      `the stack has no StorageClass ${strange.join(", ")}; available: ${storageClasses.join(", ")}`,
    );
  const wanted = storageClasses.filter((name) => only?.includes(name) ?? true);
  const own = await readDeclaredProbes(pulumi);
  const known = new Set(own.flatMap(({ classes }) => classes.map(({ name }) => name)));
  const others: WantedClass[] = wanted.filter((name) => !known.has(name)).map((name) => ({ name }));
  return [...own, { ...undefinedIfEmpty, classes: others }]
    .map((request) => ({
      ...request,
      classes: request.classes.filter(({ name }) => wanted.includes(name)),
      image: options.image ?? request.image,
      size: options.size ?? request.size,
      concurrency: options.concurrency ?? request.concurrency,
      timeoutSeconds: options.timeoutSeconds ?? request.timeoutSeconds,
      tolerations: [
        ...request.tolerations,
        ...(options.tolerate ?? []).map((key) => ({ key, operator: "Exists" })),
      ],
      ...(options.nodes === undefined ? {} : { nodes: options.nodes }),
    }))
    .filter(({ classes }) => classes.length > 0);
}

/** The probes of the stack's drivers, as it was deployed last. */
async function readDeclaredProbes(pulumi: Pulumi): Promise<ProbeRequest[]> {
  return (await readResources(pulumi))
    .filter(({ type }) => type === "talos-node:index:StorageProbe")
    .flatMap(({ inputs }) => {
      const { data } = probeSchema.safeParse(inputs);
      if (data === undefined) return [];
      const { storageClasses, ...others } = data;
      // What is absent is absent, not undefined.
      return [
        {
          ...others,
          classes: storageClasses.map(withoutAbsent),
          tolerations: others.tolerations.map(withoutAbsent),
        },
      ];
    });
}

function withoutAbsent<T extends object>(given: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
