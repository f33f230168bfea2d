import { JovianDssCsi } from "../../../components/csi/joviandss.ts";
import type { JovianDssCsiArgs } from "../../../components/csi/joviandss.ts";
import { digest } from "./plainSettings.ts";
import { record } from "./recorder.ts";
import type { Registered } from "./recorder.ts";

/** The minimal arguments of a JovianDSS driver. */
export const minimal: JovianDssCsiArgs = {
  image: `docker.io/opene/joviandss-csi@${digest}`,
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password: "hunter2" },
  iscsi: { addresses: ["192.168.0.101"] },
  pools: [{ name: "Pool-0" }],
};

/** The resources that a JovianDSS driver with these arguments registers. */
export async function registerDriver(args: Partial<JovianDssCsiArgs> = {}): Promise<Registered[]> {
  return (await record(() => new JovianDssCsi("joviandss", { ...minimal, ...args }))).resources;
}
